import { parentPort } from 'node:worker_threads';
import { KnownSchemas } from './known-schemas.ts';
import type { SchemaQuery, SchemaReply } from './messages.ts';

if (parentPort === null) throw new Error('this file is a worker');
const port = parentPort;
const schemas = new KnownSchemas();

port.on('message', ({ id, owner, schema, text }: SchemaQuery) => {
  port.postMessage({ id, fit: schemas.fit(owner, schema, text) } satisfies SchemaReply);
});
