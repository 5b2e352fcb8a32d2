// Stands between us and one stdio child: the child leads a process group of its own and sees an allow-listed environment;
// when our end of stdin closes, however we ended, the whole group ends. Plain JavaScript, so that it starts at once.
//
//   node stdio-guard.mjs <command> [arguments…]
import { spawn } from 'node:child_process'

const politeMs = 300
const forceMs = 700
const lookMs = 500
const [command = '', ...args] = process.argv.slice(2)

const env = Object.fromEntries(
  ['PATH', 'LANG', 'TZ', 'HOME', 'TMPDIR'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  }),
)
const child = spawn(command, args, { env, detached: true, stdio: ['pipe', 'inherit', 'inherit'] })

const signalGroup = (signal) => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal)
  } catch {
    // Nobody of the group is left.
  }
}

let ending = false
const end = () => {
  if (ending) return
  ending = true
  child.stdin.end()
  setTimeout(() => signalGroup('SIGTERM'), politeMs)
  setTimeout(() => signalGroup('SIGKILL'), politeMs + forceMs)
}

child.on('error', () => process.exit(127))
child.on('exit', (code) => {
  signalGroup('SIGKILL') // what the child left behind
  process.exit(code ?? 1)
})
child.stdin.on('error', end)
process.stdin.on('end', end)
process.stdin.on('error', end)
process.on('SIGTERM', end)
process.on('SIGINT', end)
process.stdin.pipe(child.stdin, { end: false })

// The end of a pipe comes after what is in it, and a child that no longer reads keeps us from getting there.
const parent = process.ppid
setInterval(() => process.ppid !== parent && end(), lookMs).unref()
