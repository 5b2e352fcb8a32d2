// Canonical JSON (RFC 8785): one text for one value, so that a digest or a signature of it means something. Members are
// sorted by UTF-16 code units, numbers and strings are written as ECMAScript writes them, nothing else is accepted.

/** Serialises a JSON value canonically. Throws TypeError for what JSON cannot say (undefined, bigint, NaN, lone surrogates). */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return canonicalString(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('Canonical JSON holds finite numbers only.')
      return JSON.stringify(value) // RFC 8785 §3.2.2.3 is ECMAScript's own number form
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      return value === null ? 'null' : canonicalObject(value)
    default:
      throw new TypeError(`Canonical JSON cannot hold a ${typeof value}.`)
  }
}

function canonicalObject(value: object): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1)) // RFC 8785 §3.2.3: UTF-16 code units
    .map(([name, member]) => `${canonicalString(name)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}

const loneSurrogate = /\p{Surrogate}/u

function canonicalString(text: string): string {
  if (loneSurrogate.test(text)) throw new TypeError('Canonical JSON holds well-formed text only.')
  return JSON.stringify(text)
}
