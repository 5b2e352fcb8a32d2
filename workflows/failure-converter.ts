// Failure messages and stacks are encoded like payloads: without this they would stand in histories in clear. Causes that
// are not Temporal's own are dropped, because foreign errors quote prompts and headers. The SDK loads this file with a
// plain `require`, so its source holds no type annotation.
import { DefaultFailureConverter, TemporalFailure } from '@temporalio/common'

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true })

const encode = failureConverter.errorToFailure.bind(failureConverter)

failureConverter.errorToFailure = (error, payloadConverter) => {
  const foreign = error instanceof Error && error.cause !== undefined && !(error.cause instanceof TemporalFailure)
  if (!foreign) return encode(error, payloadConverter)
  const bare = Object.create(Object.getPrototypeOf(error), Object.getOwnPropertyDescriptors(error))
  Object.defineProperty(bare, 'cause', { value: undefined, configurable: true })
  return encode(bare, payloadConverter)
}
