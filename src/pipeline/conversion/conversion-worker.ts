import { parentPort } from 'node:worker_threads';
import { convertBytes } from '../../wire/conversion.ts';
import { DIALECTS } from '../../wire/dialects.ts';
import type { ConversionQuestion, ConversionReply } from './messages.ts';

if (parentPort === null) throw new Error('this file is a worker');
const port = parentPort;

port.on('message', ({ id, from, to, bytes, stream, can }: ConversionQuestion) => {
  const converted = convertBytes(from, bytes, stream, DIALECTS[to], can);
  // Schemas may hold exact numbers, which can't be copied; responses need none of them.
  const reply = converted.ok
    ? { ...converted, echo: {}, tools: converted.tools.map((tool) => (tool.type === 'function' ? { ...tool, schema: null } : tool)) }
    : converted;
  port.postMessage({ id, converted: reply, echo: JSON.stringify(converted.ok ? converted.echo : {}) } satisfies ConversionReply);
});
