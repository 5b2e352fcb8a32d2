// The bundle's entry: every exported function is a workflow type.
export { agentTurn } from './agent-turn.ts'
export { payloadRetention } from './audit-upkeep.ts'
export { canary } from './canary.ts'
export { chatSession } from './chat-session.ts'
export { holdSettlement, ledgerAudit } from './ledger-upkeep.ts'
export { sessionRetention } from './session-upkeep.ts'
