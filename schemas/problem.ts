// Bodies of refusals: the upper-case form of the families that serve existing clients, and RFC 9457.
import { z } from 'zod'
import { errorCodes } from '../domain/errors.ts'

/** Whitelisted details of the code stand beside these. */
export const WalletError = z.looseObject({ error: z.string(), code: z.string(), message: z.string() })

export const Problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.enum(errorCodes),
  instance: z.string(),
})

export const EdgeError = z.object({ message: z.string() })

/** What `/problems/<code>` says about a code. */
export const ProblemPage = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.enum(errorCodes),
  /** The same code in the families that serve existing clients. */
  wire: z.string(),
})

export const ProblemParams = z.object({ code: z.string().max(100) })
