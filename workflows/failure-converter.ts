// Failure messages and stacks are encoded like payloads: without this they would stand in histories in clear.
import { DefaultFailureConverter } from '@temporalio/common'

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true })
