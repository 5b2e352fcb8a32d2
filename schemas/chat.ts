// Shapes of agents, sessions and chat (contracts 4 and 5).
import { z } from 'zod'
import { imageBytesMax, imagesPerMessageMax, messageCharsMax } from '../domain/limits.ts'
import { Uuid } from './common.ts'

const Time = z.iso.datetime()

export const AgentParams = z.object({ id: z.string().min(1).max(100) })
export const SessionParams = AgentParams.extend({ sid: Uuid })
export const TurnParams = SessionParams.extend({ turnId: Uuid })

const AgentRow = z.object({
  id: z.string(),
  name: z.string(),
  title: z.string(),
  description: z.string(),
  model: z.string(),
  skillsCount: z.number(),
})
export const AgentList = z.object({ agents: z.array(AgentRow) })
export const AgentDetail = AgentRow.extend({
  tools: z.array(z.object({ name: z.string(), description: z.string() })),
  toolsCount: z.number(),
  skills: z.array(z.object({ name: z.string(), title: z.string(), description: z.string() })),
  categories: z.array(z.string()),
  mcpServers: z.array(z.string()),
  pricing: z.object({ type: z.string(), amount: z.string(), currency: z.string(), description: z.string() }),
})

export const CreateSession = z.object({
  model: z.string().min(1).max(100).optional(),
  executionEngine: z.string().max(40).optional(),
})
export const CreatedSession = z.object({
  id: Uuid,
  agentId: z.string(),
  model: z.string(),
  createdAt: Time,
  executionEngine: z.string(),
})

const SessionRow = z.object({
  id: Uuid,
  agentId: z.string(),
  model: z.string(),
  createdAt: Time,
  lastActiveAt: Time,
  lastMessageAt: Time.nullable(),
  messageCount: z.number(),
  preview: z.string().nullable(),
  persisted: z.boolean(),
})
export const SessionList = z.object({ sessions: z.array(SessionRow) })
export const SessionDetail = SessionRow.extend({
  messages: z.array(z.object({ role: z.enum(['user', 'assistant', 'tool']), content: z.string(), timestamp: Time })),
  currentTurn: z.object({ turnId: Uuid, state: z.string() }).nullable(),
})
export const Deleted = z.object({ success: z.literal(true) })

const Image = z.object({
  mediaType: z.enum(['image/jpeg', 'image/png', 'image/webp']),
  data: z
    .base64()
    .min(4)
    .max(Math.ceil((imageBytesMax * 4) / 3) + 4),
})
export const ChatRequest = z.object({
  message: z.string().min(1).max(messageCharsMax),
  model: z.string().min(1).max(100).optional(),
  images: z.array(Image).max(imagesPerMessageMax).default([]),
})
export const StreamQuery = z.object({
  after: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional(),
})
export const Cancelled = z.object({ turnId: Uuid, status: z.literal('cancelling') })
