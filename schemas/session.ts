// Chat sessions (contracts 5).
import { z } from 'zod'
import { Uuid } from './common.ts'

export const SessionsParams = z.object({ id: z.string().max(200) })
export const SessionParams = SessionsParams.extend({ sid: Uuid })

export const engines = [
  'claude',
  'openclaude',
  'codex',
  'opencode',
  'hermes',
  'gemini',
  'openrouter-agent',
  'kimi-code',
  'rickydata-code',
] as const

export const CreateSession = z.object({
  model: z.string().min(1).max(100).optional(),
  executionEngine: z.enum(engines).optional(),
})

export const CreatedSession = z.object({
  id: Uuid,
  agentId: z.string(),
  model: z.string(),
  createdAt: z.iso.datetime(),
  executionEngine: z.string(),
})

export const SessionSummary = z.object({
  id: Uuid,
  agentId: z.string(),
  model: z.string(),
  createdAt: z.iso.datetime(),
  lastActiveAt: z.iso.datetime(),
  lastMessageAt: z.iso.datetime().nullable(),
  messageCount: z.number().int(),
  preview: z.string().nullable(),
  persisted: z.boolean(),
})
export type SessionSummary = z.output<typeof SessionSummary>
export const SessionList = z.object({ sessions: z.array(SessionSummary) })

export const SessionDetail = SessionSummary.extend({
  messages: z.array(
    z.object({ role: z.enum(['user', 'assistant']), content: z.string(), timestamp: z.iso.datetime() }),
  ),
  currentTurn: z.object({ turnId: Uuid, state: z.enum(['submitted', 'queued', 'running']) }).optional(),
})
export type SessionDetail = z.output<typeof SessionDetail>

export const DeletedSession = z.object({ success: z.literal(true) })
