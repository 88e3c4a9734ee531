/** Creates the signer for each identity of the configuration. */
import type { Clock } from '../../core/clock.ts';
import type { SlicedWork } from '../../core/sliced-work.ts';
import { BodyHash } from '../../endpoint/body-hash.ts';
import { signV4, type AwsCredentials, type SigningScope } from '../../endpoint/sigv4.ts';
import { CredentialError } from '../../transport/credential-error.ts';
import type { CredentialSigner, RequestSigner } from '../../transport/transport.ts';
import type { Transport, UpstreamRequest } from '../../transport/transport.ts';
import type { IdentityConfig } from '../config/identity.ts';
import { loadAwsProfile } from './aws-profile.ts';
import { loadGoogleToken, metadataTokenRequest } from './google.ts';
import { RenewedValue, type Loaded, type Source } from './renewed-value.ts';
import { createTokenAsker } from './token-request.ts';

export interface ClosableSigner extends CredentialSigner {
  close(): void;
}

export interface SignersOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** For the hashes of large bodies. */
  readonly slices: SlicedWork;
  /** Called with every loaded secret, which must be masked. */
  readonly onSecret: (secret: string) => void;
  readonly onTrouble: (message: string) => void;
}

export type CreateSigner = (identity: IdentityConfig) => ClosableSigner;

/** Credentials are loaded at once, before the first request needs them. */
export function createSigners({ transport, clock, slices, onSecret, onTrouble }: SignersOptions): CreateSigner {
  const ask = createTokenAsker(transport, clock);
  const renewed = <T>(load: () => Promise<Loaded<T>>, secretsOf: (value: T) => readonly string[]): RenewedValue<T> => {
    const made = new RenewedValue({
      clock,
      load,
      onLoaded: (value) => secretsOf(value).forEach(onSecret),
      onTrouble: (error) => onTrouble(withPlace(error)),
    });
    made.load();
    return made;
  };
  const bearer = (load: () => Promise<Loaded<string>>): ClosableSigner => new BearerSigner(renewed(load, (token) => [token]));
  return (identity) => {
    switch (identity.kind) {
      case 'aws':
        return new AwsSigner(identity, fixed(identity), slices);
      case 'aws-profile': {
        const secretsOf = (found: AwsCredentials): readonly string[] => [
          found.accessKeyId,
          found.secretAccessKey,
          found.sessionToken ?? '',
        ];
        return new AwsSigner(
          identity,
          renewed(() => loadAwsProfile(identity), secretsOf),
          slices,
        );
      }
      case 'google-key':
        return bearer(() => loadGoogleToken(identity, ask, clock.epochMs(), onSecret));
      case 'google-metadata':
        return bearer(() => ask(metadataTokenRequest(identity.origin)));
      case 'entra': {
        const { tokenUrl, clientId, clientSecret, scope } = identity;
        const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope };
        return bearer(() => ask({ url: tokenUrl, form }));
      }
    }
  };
}

function withPlace(error: Error): string {
  return error instanceof CredentialError && error.place !== '' ? `${error.message} (${error.place})` : error.message;
}

/** Credentials that never change. */
function fixed<T>(value: T): Source<T> {
  return { get: () => value, whenReady: () => () => {}, refuse: () => false, close() {} };
}

class BearerSigner implements ClosableSigner {
  readonly #source: Source<string>;

  constructor(source: Source<string>) {
    this.#source = source;
  }

  begin(): RequestSigner {
    const source = this.#source;
    let used: string | null = null;
    return {
      sign: () => {
        used = source.get();
        return used === null ? null : ['authorization', `Bearer ${used}`];
      },
      whenReady: (listener) => source.whenReady(listener),
      renew: () => used !== null && source.refuse(used),
    };
  }

  close(): void {
    this.#source.close();
  }
}

class AwsSigner implements ClosableSigner {
  readonly #scope: SigningScope;
  readonly #source: Source<AwsCredentials>;
  readonly #slices: SlicedWork;

  constructor(scope: SigningScope, source: Source<AwsCredentials>, slices: SlicedWork) {
    this.#scope = scope;
    this.#source = source;
    this.#slices = slices;
  }

  begin(): RequestSigner {
    return new AwsRequestSigner(this.#scope, this.#source, this.#slices);
  }

  close(): void {
    this.#source.close();
  }
}

/** Larger bodies are hashed in slices, in bytes. */
const HASHED_AT_ONCE_MAX = 1024 * 1024;

class AwsRequestSigner implements RequestSigner {
  readonly #scope: SigningScope;
  readonly #source: Source<AwsCredentials>;
  readonly #slices: SlicedWork;
  #used: AwsCredentials | null = null;
  #hash: BodyHash | null = null;

  constructor(scope: SigningScope, source: Source<AwsCredentials>, slices: SlicedWork) {
    this.#scope = scope;
    this.#source = source;
    this.#slices = slices;
  }

  sign(request: UpstreamRequest, epochMs: number): readonly string[] | null {
    const hash = (this.#hash ??= new BodyHash(request.body));
    if (hash.digest === null && lengthOf(request.body) <= HASHED_AT_ONCE_MAX) while (!hash.step());
    this.#used = this.#source.get();
    return hash.digest === null || this.#used === null ? null : signHeaders(request, hash.digest, this.#scope, this.#used, epochMs);
  }

  whenReady(listener: (error: Error | null) => void): () => void {
    const hash = this.#hash!;
    if (hash.digest !== null) return this.#source.whenReady(listener);
    let isWanted = true;
    void this.#slices.run(() => !isWanted || hash.step()).then(() => isWanted && listener(null));
    return () => void (isWanted = false);
  }

  renew(): boolean {
    return this.#used !== null && this.#source.refuse(this.#used);
  }
}

function lengthOf(body: UpstreamRequest['body']): number {
  return body === null ? 0 : body instanceof Uint8Array ? body.byteLength : body.reduce((length, piece) => length + piece.byteLength, 0);
}

/** Signs only headers that proxies do not change. */
function signHeaders(
  { method, origin, path, headers }: UpstreamRequest,
  bodyHash: string,
  scope: SigningScope,
  credentials: AwsCredentials,
  epochMs: number,
): readonly string[] {
  const signed = ['host', new URL(origin).host];
  for (let i = 0; i < headers.length; i += 2) {
    if (/^(?:content-type|x-amz(?:n)?-.*)$/i.test(headers[i]!)) signed.push(headers[i]!, headers[i + 1]!);
  }
  return signV4({ method, path, headers: signed, bodyHash }, scope, credentials, epochMs);
}
