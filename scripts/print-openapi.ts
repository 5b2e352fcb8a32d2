// Writes docs/openapi.json from the route objects.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openApiDocument } from '../api/openapi.ts'
import { documentedRoutes } from '../test/support/routes.ts'

const file = fileURLToPath(new URL('../docs/openapi.json', import.meta.url))
writeFileSync(file, `${JSON.stringify(openApiDocument(documentedRoutes(), '0.1.0'), null, 2)}\n`)
