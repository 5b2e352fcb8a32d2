// Writes the OpenAPI document of all routes to docs/openapi.json.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openApiDocument } from '../api/openapi.ts'
import { everyRoute } from '../test/support/every-route.ts'

const fileAt = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const { version } = JSON.parse(readFileSync(fileAt('package.json'), 'utf8')) as { version: string }
writeFileSync(fileAt('docs/openapi.json'), `${JSON.stringify(openApiDocument(everyRoute(), version), null, 2)}\n`)
