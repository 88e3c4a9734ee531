/** Requests access tokens from a token server. */
import { Buffer } from 'node:buffer';
import type { Clock } from '../../core/clock.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { CredentialError } from '../../transport/credential-error.ts';
import type { Transport } from '../../transport/transport.ts';
import { readErrorBody } from '../../wire/error-shape.ts';
import type { Loaded } from './renewed-value.ts';

export interface TokenRequest {
  readonly url: string;
  readonly headers?: readonly string[];
  /** Null: it is a GET. */
  readonly form: Readonly<Record<string, string>> | null;
}

const TIMEOUT_MS = 5_000;
const BODY_MAX = 64 * 1024;
/** The lifetime of a token if the server does not report it, in milliseconds. */
const DEFAULT_LIFETIME_MS = 60 * 60_000;

export type AskToken = (request: TokenRequest) => Promise<Loaded<string>>;

export function createTokenAsker(transport: Transport, clock: Clock): AskToken {
  return async (request) => {
    const { status, body } = await exchange(transport, clock, request);
    const { host } = new URL(request.url);
    if (status !== 200) throw refusalOf(host, status, body);
    return readToken(host, body);
  };
}

interface TokenResponse {
  readonly status: number;
  readonly body: Buffer;
}

function exchange(transport: Transport, clock: Clock, { url, headers = [], form }: TokenRequest): Promise<TokenResponse> {
  const { origin, host, pathname, search } = new URL(url);
  const unavailable = (why: string): CredentialError => new CredentialError(`no access token: ${host} ${why}`);
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let status = 0;
    const end = (error: Error | null): void => {
      timer.cancel();
      if (error === null) resolve({ status, body: Buffer.concat(chunks) });
      else reject(error);
    };
    const timer = clock.schedule(TIMEOUT_MS, () => {
      call.abort();
      end(unavailable(`did not respond within ${TIMEOUT_MS} ms`));
    });
    const typed = form === null ? [] : ['content-type', 'application/x-www-form-urlencoded'];
    const call = transport.send(
      {
        origin,
        path: pathname + search,
        method: form === null ? 'GET' : 'POST',
        headers: [...headers, ...typed, 'accept', 'application/json', 'accept-encoding', 'identity', 'user-agent', 'breakwater'],
        body: form === null ? null : Buffer.from(new URLSearchParams(form).toString()),
        connectTimeoutMs: TIMEOUT_MS,
      },
      {
        onSent() {},
        onHeaders: (code) => (status = code),
        onData(chunk) {
          chunks.push(chunk);
          bytes += chunk.byteLength;
          if (bytes <= BODY_MAX) return;
          call.abort();
          end(unavailable('sent a response that is too large'));
        },
        onEnd: () => end(null),
        onError: (error) => end(unavailable(`cannot be reached (${(error as { code?: string }).code ?? error.name})`)),
      },
    );
  });
}

/** A 4xx other than 408 and 429 is a permanent rejection (with a code); anything else may be temporary. */
function refusalOf(host: string, status: number, body: Buffer): CredentialError {
  const { code, message } = readErrorBody(body);
  const named = errorWord(body) ?? code;
  const words = [named, message].filter((one) => one !== null && one !== '').join(': ');
  const isRefusal = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const text = `no access token: ${host} responded with ${status}${words === '' ? '' : ` ${words}`}`;
  return new CredentialError(text, isRefusal ? (named ?? String(status)) : null);
}

/** RFC 6749, 5.2: `{"error":"invalid_grant","error_description":…}`. */
function errorWord(body: Buffer): string | null {
  const value = parseOrUndefined(body.toString());
  const word = isRecord(value) ? value['error'] : null;
  return typeof word === 'string' && /^[\w.-]{1,60}$/.test(word) ? word : null;
}

function readToken(host: string, body: Buffer): Loaded<string> {
  const value = parseOrUndefined(body.toString());
  const { access_token: token, expires_in: seconds } = isRecord(value) ? value : {};
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
    throw new CredentialError(`no access token: the response of ${host} contains none`);
  const forS = Number(seconds);
  return { value: token, forMs: Number.isFinite(forS) && forS > 0 ? forS * 1000 : DEFAULT_LIFETIME_MS };
}
