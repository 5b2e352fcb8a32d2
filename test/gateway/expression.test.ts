// Conditions of policies: what is refused at load, one fault each, and what an answer means at run time.
import { expect, test } from 'vitest'
import type { Facts, Phase, Question } from '../../domain/policy/rule.ts'
import { compileCondition } from '../../gateway/expression/compile.ts'
import { personWith } from './fixture.ts'

const faultsOf = (text: string, phases: readonly Phase[] = ['call']) => {
  const compiled = compileCondition(text, phases)
  return 'faults' in compiled ? compiled.faults : []
}

const deep = (levels: number) => `${'['.repeat(levels)}1${']'.repeat(levels)} == null`
const nest = 'args.a.exists(x, args.b.exists(y, x == y))'

test.each<readonly [fault: string, text: string, phases: readonly Phase[], says: RegExp]>([
  ['no expression', 'args.x ==', ['call'], /is no expression/],
  ['an empty one', '   ', ['call'], /is no expression/],
  ['an undeclared name', 'user.name == "a"', ['call'], /reads user, which is no fact/],
  ['an undeclared field', 'principal.email == "a"', ['call'], /reads principal\.email, which is no fact/],
  ['a field of a field', 'tool.name.length == 3', ['call'], /reads length of string/],
  ['a prototype member', 'principal.constructor == "a"', ['call'], /principal\.constructor, which is no fact/],
  ['the prototype of all', '__proto__ == 1', ['call'], /reads __proto__, which is no fact/],
  ['arguments in a list', 'args.path == "/"', ['list'], /reads args, which the list phase does not have/],
  ['arguments in one of two phases', 'args.path == "/"', ['call', 'list'], /reads args, which the list phase/],
  [
    'arguments by their other name',
    'mcp.tool.arguments.a == 1',
    ['list'],
    /reads mcp\.tool\.arguments, which the list/,
  ],
  ['a destination in a list', 'destination.host == "a"', ['list'], /reads destination, which the list phase/],
  ['a budget in a prompt', 'budget.availableMicros > 1', ['prompt'], /reads budget, which the prompt phase/],
  ['a text for a result', '"yes"', ['call'], /comes out as string/],
  ['a number for a result', 'session.risk + 1', ['call'], /comes out as int/],
  ['a text for a truth', 'tool.name && actor.present', ['call'], /gives && string and bool/],
  ['unlike operands', 'tool.name == 5', ['call'], /gives == string and int/],
  ['unlike order', 'session.risk < "high"', ['call'], /gives < int and string/],
  ['a list for a text', 'principal.roles == "owner"', ['call'], /gives == list of string and string/],
  ['an item of another type', '5 in principal.roles', ['call'], /gives in int and list of string/],
  ['membership in a text', '"a" in tool.name', ['call'], /gives in string and string/],
  ['int plus double', 'session.risk + 0.5 > 1.0', ['call'], /gives \+ int and double/],
  ['a number in a text function', 'tool.name.startsWith(5)', ['call'], /gives startsWith string and int/],
  ['an unknown function', 'tool.name.lowerCase() == "a"', ['call'], /uses lowerCase, which conditions do not have/],
  ['a time', 'timestamp("2020-01-01T00:00:00Z") == null', ['call'], /uses timestamp/],
  ['a wrong number of operands', 'size(tool.name, tool.name) > 1', ['call'], /gives size 2 operands instead of 1/],
  ['a pattern from the call', 'tool.name.matches(args.pattern)', ['call'], /a pattern that is not written out/],
  ['a pattern RE2 does not take', 'tool.name.matches("(?=a)b")', ['call'], /which RE2 does not take/],
  ['a pattern with a back reference', 'tool.name.matches("(a)\\\\1")', ['call'], /which RE2 does not take/],
  ['an endless pattern', `tool.name.matches("${'a'.repeat(501)}")`, ['call'], /more than 500 characters/],
  [
    'loops three deep',
    `args.c.all(z, ${nest.replace('x == y', 'args.d.all(w, w == z)')})`,
    ['call'],
    /nests loops more/,
  ],
  ['a loop over a text', 'tool.name.exists(c, c == "a")', ['call'], /loops over string/],
  ['a loop that is no test', 'principal.roles.all(r, "yes")', ['call'], /string/],
  [
    'texts that grow in a loop',
    'args.l.exists(x, (args.s + args.s) == x)',
    ['call'],
    /joins texts or lists inside a loop/,
  ],
  [
    'a list that grows beside the result',
    'args.l.map(x, ["a"] + args.s) == args.s',
    ['call'],
    /joins texts or lists inside/,
  ],
  ['a list made longer than was counted', '(args.l + args.l).exists(x, x == 1)', ['call'], /loops over joined lists/],
  ['a choice of two types', 'args.flag ? true : 1', ['call'], /chooses between bool and int/],
  [
    'a choice of two objects',
    '(args.flag ? principal : tool).wallet == "a"',
    ['call'],
    /chooses between principal and/,
  ],
  ['a list of two types', '[1, "a"][0] == 1', ['call'], /lists int and string together/],
  ['a list of two objects', '[principal, tool].exists(t, t.wallet == "a")', ['call'], /lists principal and tool/],
  ['a fact behind a name of a loop', 'principal.roles.exists(principal, principal.id == "a")', ['call'], /reads id of/],
  ['an unsigned number', 'principal.assurance + 1u > 1', ['call'], /a constant of a kind that no fact has/],
  [
    'a third loop by ==',
    'args.l.all(x, args.l.all(y, args.l == args["l"]))',
    ['call'],
    /compares a whole list inside loops/,
  ],
  ['a third loop by in', 'args.l.all(x, args.m.all(y, x in args.l))', ['call'], /searches or compares a whole list/],
  ['a map of its own', '{"a": 1}.a == 1', ['call'], /builds a map or a message/],
  ['a message', 'Foo{a: 1} == null', ['call'], /builds a map or a message/],
  ['bytes', 'b"a" == b"b"', ['call'], /a constant of a kind that no fact has/],
  ['too many parts', `1 in [${Array.from({ length: 450 }, () => '1').join(',')}]`, ['call'], /more than 400 parts/],
  ['too deep a nest', deep(60), ['call'], /nested deeper than 50/],
  ['too long a text', `tool.name == "${'a'.repeat(2_000)}"`, ['call'], /longer than 2000 characters/],
])('refuses %s', (...[, text, phases, says]) => {
  expect(faultsOf(text, phases).join('\n')).toMatch(says)
})

const asked = (args: unknown, over: Partial<Question> = {}, facts: Partial<Facts> = {}): Question => ({
  principal: personWith({ roles: ['owner'], scopes: ['mcp:read'] }),
  session: null,
  action: 'tool.call',
  resource: { kind: 'tool', name: 'notes/write_note', effectClass: 'write', owner: null },
  facts: { phase: 'call', arguments: args, ...facts },
  ...over,
})

const answer = (text: string, question: Question) => {
  const compiled = compileCondition(text, [question.facts.phase])
  if ('faults' in compiled) throw new Error(compiled.faults.join('\n'))
  return compiled.condition.holds(question)
}

test.each<readonly [text: string, args: unknown, holds: boolean | 'error']>([
  ['args.amount > 100', { amount: 101 }, true],
  ['args.amount > 100', { amount: 100.5 }, true],
  ['args.amount + 1 == 3', { amount: 2 }, true],
  ['args.amount > 100', {}, 'error'],
  ['args.amount > 100', null, 'error'],
  ['args.amount > 100', { amount: 'a lot' }, 'error'],
  ['has(args.amount) && args.amount > 100', {}, false],
  ['args.flag', { flag: true }, true],
  ['args.flag', { flag: 'true' }, 'error'],
  ['args.flag', { flag: 1 }, 'error'],
  ['args.items.exists(i, i.name == "x")', { items: [{ name: 'y' }, { name: 'x' }] }, true],
  ['args.items.all(i, i > 0)', { items: Array.from({ length: 1_001 }, () => 1) }, 'error'],
  [nest, { a: [1], b: [1] }, true],
  [nest, { a: Array.from({ length: 201 }, () => 1), b: [1] }, 'error'],
  ['args.a.exists(x, args.b.exists(y, x[0] == y[0] && x[0] in [1, 2]))', { a: [[1]], b: [[1]] }, true],
  [nest, { a: Array.from({ length: 11 }, () => Array.from({ length: 190 }, () => 1)), b: [1] }, 'error'],
  ['args.path.startsWith("/srv/") && !args.path.contains("..")', { path: '/srv/../etc' }, false],
  ['args.path.matches("^/srv/[a-z]+$")', { path: '/srv/a' }, true],
  ['args.n == 1', { n: 2 ** 60 }, 'error'],
  ['"owner" in principal.roles && "mcp:read" in principal.scopes', {}, true],
  ['tool.name == "write_note" && tool.server == "notes" && tool.class == "write"', {}, true],
  ['mcp.tool.name == "write_note" && mcp.tool.arguments.a == 1', { a: 1 }, true],
  ['claims.org == "acme"', {}, 'error'],
  ['session.risk > 60', {}, 'error'],
  ['principal.spiffeId == null', {}, true],
  ['principal.spiffeId.startsWith("spiffe://")', {}, 'error'],
  ['args.constructor.name == "Object"', { a: 1 }, 'error'],
  ['args.__proto__ == null', { a: 1 }, 'error'],
])('%s of %j is %s', (text, args, holds) => {
  expect(answer(text, asked(args))).toBe(holds)
})

test('claims, session and destination are read where they have a source', () => {
  const claims = { org: 'acme', roles: ['dev'] }
  const question = asked(
    {},
    { session: { id: 's', risk: 61 } },
    { claims, destination: { scheme: 'https', host: 'a.example', port: 443, path: '/' } },
  )
  expect(answer('claims.org == "acme" && "dev" in jwt.roles', question)).toBe(true)
  expect(
    answer('session.risk > 60 && destination.host.endsWith(".example") && destination.port == 443', question),
  ).toBe(true)
})

test.each([
  ['tool.name == "a"', ['a']],
  ['"a" == mcp.tool.name && args.x == 1', ['a']],
  ['args.x == 1 && tool.name in ["a", "b"]', ['a', 'b']],
  ['tool.name == "a" || (tool.name == "b" && args.x == 1)', ['a', 'b']],
  ['tool.name == "a" || args.x == 1', undefined],
  ['!(tool.name == "a")', undefined],
  ['tool.name != "a"', undefined],
  ['tool.name.startsWith("a")', undefined],
  ['tool.name == args.x', undefined],
])('%s can be true for the tools %j', (text, names) => {
  const compiled = compileCondition(text, ['call'])
  expect('condition' in compiled && compiled.condition.toolNames).toEqual(names)
})

test('an evil pattern is linear in its text', () => {
  const startedAt = performance.now()
  expect(answer('args.text.matches("^(a+)+$")', asked({ text: `${'a'.repeat(50_000)}!` }))).toBe(false)
  expect(performance.now() - startedAt).toBeLessThan(2_000)
})
