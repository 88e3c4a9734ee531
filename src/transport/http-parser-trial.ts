/** A self-test: whether the binding parses as the adapter expects and rejects invalid messages. */
import type { HeaderPairs } from '../core/headers.ts';
import { readings, STRICT, type BindingClass } from './http-parser-binding.ts';

/** The result of parsing some bytes. */
class Trial {
  readonly heads: {
    version: string;
    method: number | undefined;
    url: string | undefined;
    status: number;
    headers: HeaderPairs;
    keepsAlive: boolean;
  }[] = [];
  body = '';
  ended = 0;
  readonly error: string | null;

  constructor(bindingClass: BindingClass, kind: number, text: string) {
    const binding = new bindingClass();
    binding.initialize(kind, {}, TRIAL_HEAD_MAX, STRICT);
    binding[bindingClass.kOnHeadersComplete] = (...given: unknown[]): number => {
      const [major, minor, headers, method, url, status, , , keepsAlive] = given as [
        number, number, string[], number | undefined, string | undefined, number | undefined, unknown, unknown, boolean,
      ]; // prettier-ignore
      this.heads.push({ version: `${major}.${minor}`, method, url, status: status ?? 0, headers, keepsAlive });
      return readings.normal;
    };
    binding[bindingClass.kOnBody] = (bytes: Buffer): void => void (this.body += bytes.toString('latin1'));
    binding[bindingClass.kOnMessageComplete] = (): void => void this.ended++;
    const bytes = Buffer.from(text, 'latin1');
    const result = binding.execute(bytes);
    const end = result instanceof Error ? result : binding.finish();
    this.error = end instanceof Error ? ((end as { code?: string }).code ?? '') : null;
    binding.close();
  }
}

const TRIAL_HEAD_MAX = 1024;

const post = 'POST /a?b=c HTTP/1.1\r\nHost: x\r\n';
const chunked = 'Transfer-Encoding: chunked\r\n\r\n';
/** Messages that must be rejected: two parsers could interpret them differently (RFC 9112 11.2). */
const refused: readonly string[] = [
  `${post}Content-Length: 3\r\n${chunked}0\r\n\r\n`,
  `${post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`,
  `${post}Content-Length: +3\r\n\r\nabc`,
  `${post}A: b\r\n c: d\r\n\r\n`,
  `${post}A : b\r\n\r\n`,
  'POST / HTTP/1.1\nHost: x\n\n',
  `${post}${chunked}3\nabc\r\n0\r\n\r\n`,
  `${post}${chunked}g\r\n\r\n`,
  `${post}A: b\0c\r\n\r\n`,
  `${post}A: ${'b'.repeat(2 * TRIAL_HEAD_MAX)}\r\n\r\n`,
  'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc',
];

/** True if the binding passes the self-test. */
export function passesTrial(bindingClass: BindingClass): boolean {
  const { REQUEST, RESPONSE, prototype } = bindingClass as BindingClass & { prototype: Record<string, unknown> };
  if (!['consume', 'unconsume', 'close', 'getCurrentBuffer'].every((name) => typeof prototype[name] === 'function')) return false;
  if (!hasDistinctCallbacks(bindingClass)) return false;
  const request = new Trial(bindingClass, REQUEST, `${post}${chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);
  const [asked] = request.heads;
  const isRequestRead =
    asked?.version === '1.1' &&
    asked.url === '/a?b=c' &&
    asked.keepsAlive &&
    asked.headers.join() === 'Host,x,Transfer-Encoding,chunked' &&
    `${request.body} ${request.ended} ${request.error}` === 'abcde 1 null';
  const response = new Trial(bindingClass, RESPONSE, 'HTTP/1.1 429 Too Many\r\nA: b\r\nContent-Length: 2\r\n\r\nhi');
  const [answered] = response.heads;
  const isResponseRead =
    answered?.status === 429 && answered.headers.length === 4 && `${response.body} ${response.ended} ${response.error}` === 'hi 1 null';
  return isRequestRead && isResponseRead && refused.every((text) => new Trial(bindingClass, REQUEST, text).error !== null);
}

function hasDistinctCallbacks(bindingClass: BindingClass): boolean {
  const { kOnMessageBegin, kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete, kOnExecute } = bindingClass;
  const numbers = [kOnMessageBegin, kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete, kOnExecute];
  return numbers.every(Number.isInteger) && new Set(numbers).size === numbers.length;
}

/** The binding numbers methods by a list that is not public. `methods`: their names, in any order. */
export function methodNames(bindingClass: BindingClass, methods: readonly string[]): string[] {
  const names: string[] = [];
  for (const name of methods) {
    const [head] = new Trial(bindingClass, bindingClass.REQUEST, `${name} ${name === 'CONNECT' ? 'x:1' : '/'} HTTP/1.1\r\nHost: x\r\n\r\n`)
      .heads;
    if (head?.method !== undefined) names[head.method] = name;
  }
  return names;
}
