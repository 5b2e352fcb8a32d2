// Audit records as events of the Open Cybersecurity Schema Framework: category 6 (Application Activity), class 6003 (API
// Activity) of schema 1.6.0. What has no attribute there goes to `unmapped`; what is null is left out.
// The table of it is docs/audit-files.md.

export const ocsfVersion = '1.6.0'

type Record_ = Readonly<Record<string, unknown>>

const activities: readonly (readonly [RegExp, number, string])[] = [
  [/(^|[.:_-])(create|open|start|put|add)$/, 1, 'Create'],
  [/(^|[.:_-])(read|list|get|watch|look)$/, 2, 'Read'],
  [/(^|[.:_-])(update|set|change)$/, 3, 'Update'],
  [/(^|[.:_-])(delete|end|close|remove|cancel)$/, 4, 'Delete'],
]

const statuses: Readonly<Record<string, readonly [id: number, severity: number]>> = {
  ok: [1, 1],
  admitted: [1, 1],
  error: [2, 2],
  denied: [2, 2],
  refused: [2, 2],
}

/** One record, original or redacted, with the SHA-256 of the original. */
export function ocsfEvent(record: Record_, sha256: string): Record<string, unknown> {
  const action = textOf(record['action']) ?? 'unknown'
  const [, activityId, activityName] = activities.find(([pattern]) => pattern.test(action)) ?? [null, 99, action]
  const status = textOf(record['status']) ?? 'unknown'
  const [statusId, severityId] = statuses[status] ?? [status === 'unknown' ? 0 : 99, 1]
  const policy = membersOf(record['policy'])
  return present({
    category_uid: 6,
    class_uid: 6003,
    type_uid: 600_300 + activityId,
    activity_id: activityId,
    activity_name: activityName,
    severity_id: severityId,
    time: Date.parse(textOf(record['ts']) ?? ''),
    duration: record['latency_ms'],
    ...{ status, status_id: statusId, status_code: record['error_code'], status_detail: policy['rationale'] },
    metadata: metadataOf(record),
    actor: actorOf(record),
    api: present({
      operation: action,
      service: { name: textOf(record['server']) ?? 'gatehouse' },
      request: present({ uid: record['idempotency_key'] }),
    }),
    src_endpoint: { name: textOf(record['origin']) ?? 'unknown' },
    resources: [present({ name: record['resource'], type: record['node_type'] })],
    unmapped: present({
      ...pick(record, ['tool', 'retries', 'effect_seq', 'act', 'proof', 'input_sha256', 'output_sha256', 'follows']),
      ...pick(record, ['approval_id', 'dlp_actions', 'prev_sha256', 'kid']),
      ...{ sha256, policy },
    }),
  })
}

function metadataOf(record: Record_) {
  return present({
    version: ocsfVersion,
    product: present({ name: 'Gatehouse', vendor_name: 'Gatehouse', version: membersOf(record['gateway'])['version'] }),
    uid: record['id'],
    sequence: record['seq'],
    tenant_uid: record['tenant'],
    correlation_uid: record['trace_id'],
    log_name: 'audit',
    log_version: String(record['schema_version'] ?? ''),
    original_time: record['ts'],
  })
}

// The person, and the outermost agent that acted for them.
function actorOf(record: Record_) {
  const chain: readonly unknown[] = Array.isArray(record['act']) ? record['act'] : []
  const agent = chain.map(membersOf).find((actor) => actor['kind'] === 'agent')
  return present({
    user: present({ uid: record['sub'] }),
    session: present({ uid: record['usid'] }),
    app_uid: agent?.['id'],
  })
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined)

function membersOf(value: unknown): Record_ {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record_) : {}
}

function pick(record: Record_, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, record[name]]))
}

function present(value: Record_): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null && member !== undefined))
}
