import type { ServerResponse } from 'node:http';
import { resetSocket } from '../reset-socket.ts';

/** Status 0: the connection is reset. */
export interface BatchReply {
  readonly status: number;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** The length that is announced, where the body breaks off before it. */
  readonly length?: number;
}

export function reply(status: number, value: object): BatchReply {
  return { status, body: JSON.stringify(value) };
}

/** In a form that holds for both APIs. */
export function refusal(
  status: number,
  message: string,
  type = 'invalid_request_error',
  headers: Readonly<Record<string, string>> = {},
): BatchReply {
  return { status, body: JSON.stringify({ type: 'error', error: { message, type, code: null, param: null } }), headers };
}

export function sendReply(res: ServerResponse, { status, body, headers = {}, length }: BatchReply): void {
  const { socket } = res;
  if (status === 0) return void (socket !== null && resetSocket(socket));
  const type = typeof body === 'string' ? 'application/json' : 'application/octet-stream';
  res.writeHead(status, { 'content-type': type, 'content-length': length ?? Buffer.byteLength(body), ...headers });
  if (length === undefined) res.end(body);
  else res.write(body, () => socket?.destroy());
}
