import { parentPort } from 'node:worker_threads';
import { convertBytes } from '../../wire/conversion.ts';
import { DIALECTS } from '../../wire/dialects.ts';
import type { ModelTool } from '../../wire/model.ts';
import type { ConversionQuestion, ConversionReply } from './messages.ts';

if (parentPort === null) throw new Error('this file is a worker');
const port = parentPort;

port.on('message', ({ id, from, to, bytes, stream, can }: ConversionQuestion) => {
  let reply: ConversionReply = { id, converted: null, echo: '{}' };
  try {
    const converted = convertBytes(from, bytes, stream, DIALECTS[to], can);
    reply = converted.ok
      ? { id, converted: { ...converted, echo: {}, tools: converted.tools.map(nameOnly) }, echo: JSON.stringify(converted.echo) }
      : { ...reply, converted };
  } catch {
    // The request is converted again where it is used, which reports the error.
  }
  port.postMessage(reply);
});

/** Removes schemas and formats, which may contain exact numbers that can't be cloned; responses do not need them. */
function nameOnly(tool: ModelTool): ModelTool {
  if (tool.type === 'function') return { ...tool, schema: null };
  return tool.type === 'custom' ? { ...tool, format: null } : tool;
}
