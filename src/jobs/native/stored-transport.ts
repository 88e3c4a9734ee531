import type { Transport } from '../../transport/transport.ts';

/** Delivers one response that was received already, to whatever is sent. */
export function storedTransport(body: Uint8Array, requestId: string | null): Transport {
  return {
    send(_request, listener) {
      let isOver = false;
      queueMicrotask(() => {
        if (!isOver) listener.onSent();
        const headers = { 'content-type': 'application/json', ...(requestId !== null && { 'x-request-id': requestId }) };
        if (!isOver) listener.onHeaders(200, headers);
        if (!isOver) listener.onData(body);
        if (!isOver) listener.onEnd();
        isOver = true;
      });
      return {
        abort: () => void (isOver = true),
        pause() {},
        resume() {},
      };
    },
    close: () => Promise.resolve(),
  };
}
