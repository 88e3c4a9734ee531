/**
 * Requests byte by byte, over both listeners: what node:http refuses is refused, what it takes is taken as the same requests, in one piece and cut
 * anywhere. What the two listeners hand on is compared, not only what they answer.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import type { Exchange } from '../../src/server/exchange.ts';
import { listen, type Listener } from '../../src/server/listener.ts';
import { rawCases } from './raw-request-cases.ts';

/** One request as it is handed on. */
interface Taken {
  readonly start: string;
  readonly headers: Record<string, string | undefined>;
  body: string | null;
}

class Stage {
  readonly taken: Taken[] = [];
  readonly broken: number[] = [];
  listener!: Listener;

  async start(kind: 'sockets' | 'node'): Promise<void> {
    this.listener = await listen({
      host: '127.0.0.1',
      port: 0,
      kind,
      handle: (exchange) => void this.#take(exchange),
      answerBroken: (status) => {
        this.broken.push(status);
        return { status, headers: ['content-type', 'text/plain', 'content-length', '11'], body: Buffer.from(`refused ${status}`) };
      },
      onError: assert.fail,
    });
  }

  async #take(exchange: Exchange): Promise<void> {
    const names = exchange.headersLike('');
    const headers = Object.fromEntries([...names].toSorted().map((name) => [name, exchange.header(name)]));
    const one: Taken = { start: `${exchange.method} ${exchange.target} ${exchange.isHttp10 ? '1.0' : '1.1'}`, headers, body: null };
    this.taken.push(one);
    try {
      const body = await exchange.readBody({ announce() {}, accept() {} });
      one.body = Buffer.concat(body instanceof Uint8Array ? [body] : [...body]).toString('latin1');
      const repeated = exchange.repeatedHeader?.() ?? 'none';
      exchange.head(200, ['content-type', 'text/plain', 'x-repeated', repeated]);
      if (exchange.target.includes('stream')) {
        exchange.write(Buffer.from('one '));
        await new Promise((resolve) => setImmediate(resolve));
        exchange.write(Buffer.from('two '));
      }
      exchange.end(Buffer.from(`${this.taken.indexOf(one)}:${one.body.length}`));
    } catch (error) {
      const status = (error as { status?: number }).status;
      if (status === undefined) return exchange.abort();
      exchange.head(status, ['content-type', 'text/plain']);
      exchange.end(Buffer.from(`refused ${status}`));
    }
  }
}

/** Responses as far as both listeners have to agree: without the date, and whatever the case of a name. */
function comparable(text: string): string {
  return (
    text
      .replace(/^date: .*\r\n/gim, '')
      // Whether a caller that closed its side still reads is asked at once or a moment later.
      .replaceAll('HTTP/1.1 102 Processing\r\n\r\n', '')
      .replace(/^([\w-]+):/gm, (name) => name.toLowerCase())
      .split(/(?<=\r\n\r\n)/)
      .map((part) => (part.startsWith('HTTP/') || /\nHTTP\//.test(part) ? sortedHead(part) : part))
      .join('')
      .replace(/\r\n[\da-f]+\r\n(?=one |two |\d+:)/g, '\r\n<chunk>\r\n')
  );
}

function sortedHead(part: string): string {
  const at = part.lastIndexOf('HTTP/1.1 ');
  const [line, ...headers] = part.slice(at).trimEnd().split('\r\n');
  return `${part.slice(0, at)}${[line, ...headers.toSorted()].join('\r\n')}\r\n\r\n`;
}

interface Seen {
  readonly answer: string;
  readonly taken: readonly Taken[];
}

/** Sends the pieces, each in a turn of its own, and reads until the server closes. */
async function exchangeRaw(stage: Stage, pieces: readonly string[], ends: boolean): Promise<Seen> {
  stage.taken.length = 0;
  let answer = '';
  const socket = connect(stage.listener.port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  await new Promise((resolve) => socket.once('connect', resolve));
  for (const piece of pieces) {
    if (socket.destroyed) break;
    socket.write(piece, 'latin1');
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (ends) socket.end();
  await closed;
  return { answer: comparable(answer), taken: structuredClone(stage.taken) };
}

const node = new Stage();
const sockets = new Stage();
before(() => Promise.all([node.start('node'), sockets.start('sockets')]));
after(async () => {
  for (const { listener } of [node, sockets]) {
    listener.destroy();
    await listener.close();
  }
});

const cut = (text: string, size: number): string[] => text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];

/** Behind each case: its connection ends, whatever became of the case, and nothing of the case may be taken for a part of it. */
const last = 'GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

for (const [name, one] of Object.entries(rawCases)) {
  const { raw, isOpenEnded = false, otherwise } = typeof one === 'string' ? { raw: one } : one;
  test(`a raw request is taken as node:http takes it: ${name}`, async () => {
    for (const [text, ends] of isOpenEnded
      ? ([[raw, true]] as const)
      : ([
          [raw + last, false],
          [raw, true],
        ] as const)) {
      const expected = otherwise === undefined ? await exchangeRaw(node, [text], ends) : null;
      const seen = await exchangeRaw(sockets, [text], ends);
      if (otherwise === undefined) assert.deepEqual(seen, expected, ends ? 'and ends its side' : 'and goes on');
      else assert.match(`${seen.taken.length} ${seen.answer}`, otherwise);
      if (text.length > 600) continue;
      for (const size of [1, 7]) {
        const inPieces = await exchangeRaw(sockets, cut(text, size), ends);
        assert.deepEqual(inPieces.taken, seen.taken, `in pieces of ${size}`);
      }
    }
  });
}

test('there are at least two hundred raw requests', () => {
  assert.ok(Object.keys(rawCases).length >= 200, `${Object.keys(rawCases).length}`);
});
