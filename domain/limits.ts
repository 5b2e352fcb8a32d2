// Every maximum of the system, with its unit in the name and its reason beside it. Configuration may lower a limit,
// never raise it.

// Requests.
export const bodyBytesMax = 1_000_000 // contracts: bodies of the JSON families
export const chatBodyBytesMax = 12_000_000 // eight images of 5 MB do not fit on purpose: the body is the bound
export const headerBytesMax = 16_384 // Node's own default, stated
export const authorizationBytesMax = 8_192 // longest credential we issue is below 3 KB
export const jsonDepthMax = 32 // deeper input is an attack on recursive walkers
export const pageItemsDefault = 50
export const pageItemsMax = 200
export const pageOffsetMax = 100_000 // beyond this a client wants an export
export const idempotencyKeyCharsMax = 200
export const idempotencyKeySecondsMax = 86_400 // explicit keys replay for 24 h
export const logDepthMax = 10 // members of members in one log line; deeper ones are nobody's to read
export const readinessProbeMs = 2_000 // a dependency that says nothing for so long is not ready
export const readinessCacheMs = 500 // questions of anybody; one look answers them all

// Identity.
export const challengeSecondsMax = 300 // single use, five minutes
export const challengeTriesMax = 5 // then the nonce is burnt
export const sessionTokenSecondsMax = 86_400
export const walletTokenSecondsMax = 30 * 86_400
export const clockSkewSecondsMax = 60
export const linkSecondsMax = 60 // development sign-in link, single use
export const authRequestsPerMinuteMax = 30 // per address and per wallet
export const permissionsMax = 32
export const permissionCharsMax = 64
export const membersMax = 10_000
export const verifiedTokensMax = 10_000 // cache of verified tokens per process

// Database.
export const lockWaitMs = 2_000 // a longer queue for one row is an overload: refuse, and let the caller come again
export const statementMs = 5_000
export const transactionIdleMs = 2_000 // its locks hold up revocations, which wait `lockWaitMs` for them

// Revocation.
export const revocationFeedHeartbeatMs = 500
export const revocationFeedStaleMs = 2_000 // an older feed refuses effects
export const gateScopesMax = 16 // scopes locked by one attempt
export const revocationWindowSeconds = 60 // read by each poll; a transaction lives at most 5 s, so nothing committed late is missed
export const revocationGapMs = 30_000 // a poll that comes later reads the whole set
export const revocationRelistenMs = 500
export const revocationPageRows = 5_000 // rows of one page of the whole set

// Chat.
export const messageCharsMax = 200_000
export const imagesPerMessageMax = 8
export const imageBytesMax = 5_000_000
export const imageTokensBound = 5_000 // what an image of the largest kept size may count as
export const turnSweepEveryMs = 10_000
export const sessionsPerWalletMax = 500
export const turnQueueMax = 4 // further messages are 409
export const turnStepsDefault = 25
export const turnStepsMax = 50 // model calls in one turn
export const toolCallsPerStepMax = 16
export const toolCallsPerTurnMax = 100
export const outputTokensDefault = 4_096
export const agentOutputTokensMax = 64_000 // of one model call
export const historyMessagesMax = 200 // rows read into one model request
export const historyTokensMax = 600_000 // of one model request, whatever the model takes
export const tokenBytesLikely = 3 // of text; English has some four, other scripts and code fewer
export const imageTokensLikely = 1_600
export const turnDoorsPerWallet = 4 // of one process at a time; others wait before the lock of the account
export const turnDoorWaitMs = 10_000
export const turnAcceptMs = 10_000 // the door waits this long for the workflow to accept
export const turnSubmittedSweepMs = 60_000
export const turnReplayWindowMs = 30_000 // undelivered `done` is replayed within this time

// Streams.
export const streamKeepAliveMs = 15_000
export const streamReadChunksMax = 500
export const streamClientBufferBytesMax = 1_000_000 // a slower reader is dropped and resumes
export const streamPollMs = 1_000 // second path beside notifications
export const streamFlushMs = 50
export const streamFlushBytes = 4_096
export const streamNotificationsPerSecondMax = 20
export const streamRetentionMs = 15 * 60_000 // deltas live this long after the stream closed
export const viewersPerStreamMax = 200

// Stopping.
export const drainSecondsMax = 60 // for live streams and running work, before what is left is handed over

// Model calls.
export const modelFirstByteMs = 120_000
export const modelIdleMs = 60_000
export const modelCallMs = 600_000
export const modelStreamBytesMax = 20_000_000
export const modelAttemptsMax = 5
export const modelConnectionsMax = 1_000 // streams at once per process
export const upstreamConnectMs = 10_000
export const upstreamAddressesMax = 4 // addresses of one name that are tried
export const upstreamRetryAfterMsMax = 300_000 // a longer wait asked for is cut

// Tools.
export const toolArgumentsBytesMax = 100_000
export const toolResultBytesMax = 12_000_000
export const toolResultShownBytesMax = 64_000 // what a model reads and a stream says of a longer one; the whole is kept beside it
export const toolCallMs = 60_000
export const toolListMs = 10_000
export const toolsPerServerMax = 1_000
export const toolServersMax = 100
export const toolServerRestMs = 1_000 // after a failed connect, doubled each time
export const toolServerRestMsMax = 30_000
export const toolServerConnectionsMax = 64 // sockets to one server over HTTP
export const toolUnreadBytesMax = 4_000_000 // sent to a stdio server and not read: forty calls of the largest arguments
export const toolMessageBytesMax = 16_000_000 // one message of a tool server, with its escapes
export const toolDescriptionCharsMax = 10_000
export const toolErrorOutputCharsMax = 2_000 // the end of what a dying child said
export const toolListCacheMs = 10_000
export const toolSchemaBytesBound = 24_000 // what the tools of one agent may add to a request, for reservations
export const toolAttemptsMax = 3

// Agents that people make.
export const customAgentsPerWalletMax = 50
export const customAgentVersionsMax = 100 // kept, for turns that still run by an older one
export const agentIdCharsMax = 64
export const agentTextBytesMax = 128_000 // prompt, routing and skills together: each byte is held as a token
export const agentSkillsMax = 32
export const agentToolPatternsMax = 200
export const agentMetadataBytesMax = 16_000

// Policy.
export const policyRulesMax = 10_000 // of one file
export const policyNamesMax = 10_000 // resources whose rules are remembered, of each kind
export const policyFileBytesMax = 4_000_000 // ten thousand rules with room for their reasons
export const policyAliasesMax = 100 // a few lines of YAML must not unfold into gigabytes
export const policyDocumentsMax = 1_000 // of one file
export const policyArgumentsMax = 10_000 // members of a call's arguments that guards look at
export const policyConditionCharsMax = 2_000 // a longer expression is a program
export const policyConditionNodesMax = 400 // parts of one expression
export const policyConditionNestingMax = 2 // loops in loops: three of 200 items took 99 s
export const policyConditionDepthMax = 50 // nested parts of one expression; deeper overflows a recursive walker
export const policyListItemsMax = 1_000 // items of a list that a loop walks
export const policyNestedListItemsMax = 200 // the same, where loops are nested
export const policyNestedMembersMax = 2_000 // values at any depth, where loops are nested: items may be lists themselves
export const policyPatternCharsMax = 500 // of one RE2 pattern

// Life of policies.
export const policiesActiveMax = 200 // at once, of files and of the API; each is compiled in every process
export const policyFeedHeartbeatMs = 400 // with a read and a compilation, live everywhere within a second
export const policyFeedTimeoutMs = 2_000 // an older feed refuses effects
export const policyPermitMs = 60_000 // after which it refuses reads of low risk too
export const lowRiskBelow = 60 // risk of a session from which a step-up is asked for
export const policyFilesLookMs = 300 // between looks at the files
export const policyFaultsMax = 100 // named in one answer
export const policyTestCasesMax = 1_000 // of one table
export const policyTestPoliciesMax = 20 // texts that one table is about
export const policyExplainedRulesMax = 500 // of one answer, the ones that bore on the decision first

// Audit.
export const auditBatchMax = 100
export const auditYieldRecords = 10 // about a millisecond of signing, then others have their turn
export const auditSealMs = 50 // a decided call is chained within this time of its outcome
export const auditIdleMs = 1_000 // looks for what other processes left
export const auditTenantsMax = 1_000 // chains continued or listed at a time
export const auditVerifyPageRows = 500
export const auditUnknownMs = 15 * 60_000 // an intent without outcome after this time is sealed as unknown

// Audit: spool and checkpoints.
export const spoolFileBytesMax = 8_000_000 // then the next file; what is sealed is freed by files
export const spoolBytesMax = 64_000_000 // unsealed evidence of one process, 20 s at 1,000 decisions a second
export const spoolFolderBytesMax = 256_000_000 // all processes of a state folder, dead ones too; looked at per file
export const spoolPendingMax = 10_000 // writes that wait for the file
export const spoolBatchMax = 1_000 // lines of one write
export const spoolLineCharsMax = 300_000 // a record is a few thousand; the names in it come from callers
export const spoolReadBytes = 256_000 // read at a time while sealing: some milliseconds of parsing
export const spoolTakeoversMax = 3 // a write that finds its file taken over so often is refused
export const spoolSweepMax = 100 // left spools looked at in one sweep
export const spoolRestMs = 1_000 // of one that could not be sealed, doubled each time
export const spoolRestMsMax = 300_000
export const checkpointRecordsMax = 1_000 // records of a chain without a checkpoint
export const checkpointMs = 60_000 // the same in time

// Temporal.
export const rollOverTurns = 200 // continue-as-new of a session after so many turns
export const sessionIdleCloseMinutes = 1_440 // a run that waits costs a worker some 90 kB; a new one costs 10 ms
export const rememberedUpdatesMax = 100
export const heartbeatMs = 250 // the worker's throttle decides what reaches the server
export const codecPayloadsMax = 500
export const codecBodyBytesMax = 8_000_000

// The published client.
export const clientRequestMs = 30_000 // until the headers of a stream, or a whole JSON reply; the door decides in 10 s
export const clientReplyBytesMax = 64_000_000 // a transcript at its longest
export const clientStreamIdleMs = 45_000 // three keep-alives missed: the connection is dead
export const streamEventCharsMax = 8_000_000
export const clientRetryWaitsMs = [100, 500, 2_000, 4_000, 4_000] as const // ten seconds outlast an API restart
export const clientRetryAfterSecondsMax = 5 // a longer wait is the caller's decision

// Transcripts at rest
export const sessionKeyCacheMs = 60_000 // until every process has forgotten the key of a deleted session
export const sessionKeysInMemoryMax = 2_000
export const sessionKeysPerRewrap = 500 // of one page of a rotation
export const previewCharsMax = 120
export const retentionPageSessions = 100 // of one activity, each purged in a transaction of its own

// The command line.
export const cancelledTurnWaitMs = 3_000 // for the last word of a cancelled turn; the gateway needs half a second
export const resumeMessagesShown = 20 // of a session that is taken up again; `sessions show` has all
export const inputHistoryLinesMax = 500 // that the arrow keys reach
export const samePressMs = 50 // an interrupt that a parent forwards is the one that the terminal sent

// Money
export const budgetsPerWalletMax = 100 // each hold looks at those that cover it, under the wallet's lock

// Evidence that is read and handed out.
export const auditCursorCharsMax = 200
export const auditVerifyRecordsMax = 1_000 // one request of verification: some 100 ms of signatures
export const auditVerifyYieldRecords = 50 // then others have their turn: some 5 ms
export const auditKeysMax = 1_000 // of one key set: an installation that rotates daily for years
export const auditExportPageRows = 200 // read at a time: some 400 kB
export const auditExportsAtOnce = 4 // of one process: each verifies and signs what it hands out
export const auditExportIdleMs = 30_000 // a reader that takes nothing for so long is dropped
export const auditDeliveryRecordsMax = 500 // of one part: some 1 MB, sent whole so that it can be sent again
export const auditDeliveryBytesMax = 16_000_000 // of one part in memory
export const auditDeliveryTries = 3
export const auditDeliveryWaitMs = 750 // before the second try, twice that before the third
export const auditSinkMs = 60_000 // one request with its answer
export const auditSinkAnswerCharsMax = 64_000
export const auditUploadHeadersMax = 20 // that belong to a presigned place
export const auditPayloadBytesMax = 1_000_000 // of input and output together; a larger one leaves its hashes only
export const auditPayloadPageRows = 1_000 // dropped at a time
export const auditLineCharsMax = 1_000_000 // a record is some 2 kB; one of this size is not ours

// Runtime scopes and settings of a wallet
export const runtimeScopesPerWalletMax = 100 // not archived; a wallet divides its spending by project or customer
export const scopeNameCharsMax = 200
export const scopeReferenceCharsMax = 400 // an id or an address of somebody else's
export const scopeMetadataBytesMax = 16_000
export const settingCharsMax = 200
export const settingItemsMax = 200 // agents, providers
export const conversationRetentionDaysMax = 3_650

// Integrity of the ledger
export const ledgerAuditPageWallets = 500 // of one snapshot
export const ledgerAuditHoldMs = 86_400_000 // a hold of no live work is settled within minutes; after a day it is a fault
export const moneyStopsShown = 100
export const orphanEndedMs = 60_000 // after the end of its try; the worker that still posts has had its time
export const orphanStrayMs = 900_000 // a hold without a try: its transaction is over within 5 s
export const turnLostMs = 15 * 60_000 // after which somebody asks whether its workflow is still there
export const lostTurnsLook = 20 // asked about in one run of the schedule, 5 s each at most
export const orphanLookMs = 60_000 // of one statement: 500,000 holds of the past take some 3 s
export const orphanPageRows = 100
export const upkeepPagesMax = 500 // of one workflow run

// Rates and quotas
export const meterAmountMax = 100_000_000 // units of a limit; its parts stay whole numbers
export const quotaCountersMax = 100_000 // in the memory of one process: some 30 MB
export const quotaLookMax = 64 // counters that a full store looks at to make room for one
export const quotaConnectionsMax = 4 // beside the pool: a door takes while it holds a transaction

// Signing keys
export const signingKeyReloadMs = 30_000 // until every process signs with a new key
export const unknownKeyReloadMs = 1_000 // a key that another process just made is found within this time

// Requests that are sent again
export const idempotencyLeaseSeconds = 60 // a request ends within 30 s; after this its process is taken for dead
export const idempotentKeysPerOwnerMax = 1_000 // kept at a time: what one wallet may make us store
export const idempotentReplyBytesMax = 250_000 // no reply of a mutating route comes near it
export const idempotentSweepRows = 1_000

// Telemetry
export const otlpReceiversMax = 4 // each has a queue of its own
export const spanQueueMax = 4_096 // spans that wait for one receiver; more are dropped, never waited for
export const spanExportMs = 10_000 // a slower receiver loses the batch
export const spanLastFlushMs = 3_000 // a process that ends waits no longer for its receivers

// Secrets that are looked for in all that upstreams say
export const redactedCharsMin = 8 // a shorter one would take ordinary words out
export const redactedSecretsMax = 1_000 // each makes some ten forms of an automaton
