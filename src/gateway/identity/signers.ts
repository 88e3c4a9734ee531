/** Makes the signer for each identity of the configuration. */
import type { Clock } from '../../core/clock.ts';
import { signV4, type AwsCredentials, type SigningScope } from '../../endpoint/sigv4.ts';
import type { CredentialSigner, RequestSigner } from '../../transport/transport.ts';
import type { Transport, UpstreamRequest } from '../../transport/transport.ts';
import type { IdentityConfig } from '../config/identity.ts';
import { loadAwsProfile } from './aws-profile.ts';
import { loadGoogleToken, metadataTokenRequest } from './google.ts';
import { Renewed, type Loaded } from './renewed.ts';
import { createTokenAsker } from './token-request.ts';

export interface ClosableSigner extends CredentialSigner {
  close(): void;
}

export interface SignersOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Of every secret that was loaded: it must not be shown. */
  readonly onSecret: (secret: string) => void;
  readonly onTrouble: (message: string) => void;
}

export type CreateSigner = (identity: IdentityConfig) => ClosableSigner;

/** What is loaded is loaded at once, before the first request needs it. */
export function createSigners({ transport, clock, onSecret, onTrouble }: SignersOptions): CreateSigner {
  const ask = createTokenAsker(transport, clock);
  const renewed = <T>(load: () => Promise<Loaded<T>>, secretsOf: (value: T) => readonly string[]): Renewed<T> => {
    const made = new Renewed({
      clock,
      load,
      onLoaded: (value) => secretsOf(value).forEach(onSecret),
      onTrouble: ({ message }) => onTrouble(message),
    });
    made.load();
    return made;
  };
  const bearer = (load: () => Promise<Loaded<string>>): ClosableSigner =>
    new RenewedSigner(
      renewed(load, (token) => [token]),
      (token) => ['authorization', `Bearer ${token}`],
    );
  return (identity) => {
    switch (identity.kind) {
      case 'aws':
        return new FixedSigner(identity, identity);
      case 'aws-profile':
        return new RenewedSigner(
          renewed(
            () => loadAwsProfile(identity),
            ({ accessKeyId, secretAccessKey, sessionToken }) => [accessKeyId, secretAccessKey, sessionToken ?? ''],
          ),
          (credentials, request, epochMs) => signHeaders(request, identity, credentials, epochMs),
        );
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

type HeadersOf<T> = (value: T, request: UpstreamRequest, epochMs: number) => readonly string[];

class RenewedSigner<T> implements ClosableSigner {
  readonly #renewed: Renewed<T>;
  readonly #headersOf: HeadersOf<T>;

  constructor(renewed: Renewed<T>, headersOf: HeadersOf<T>) {
    this.#renewed = renewed;
    this.#headersOf = headersOf;
  }

  begin(): RequestSigner {
    const renewed = this.#renewed;
    let used: T | null = null;
    return {
      sign: (request, epochMs) => {
        used = renewed.get();
        return used === null ? null : this.#headersOf(used, request, epochMs);
      },
      whenReady: (listener) => renewed.whenReady(listener),
      renew: () => used !== null && renewed.refuse(used),
    };
  }

  close(): void {
    this.#renewed.close();
  }
}

class FixedSigner implements ClosableSigner, RequestSigner {
  readonly #scope: SigningScope;
  readonly #credentials: AwsCredentials;

  constructor(scope: SigningScope, credentials: AwsCredentials) {
    this.#scope = scope;
    this.#credentials = credentials;
  }

  begin(): RequestSigner {
    return this;
  }

  sign(request: UpstreamRequest, epochMs: number): readonly string[] {
    return signHeaders(request, this.#scope, this.#credentials, epochMs);
  }

  /** It always is. */
  whenReady(): () => void {
    return () => {};
  }

  renew(): boolean {
    return false;
  }

  close(): void {}
}

/** Only headers that no proxy on the way changes are signed. */
function signHeaders(request: UpstreamRequest, scope: SigningScope, credentials: AwsCredentials, epochMs: number): readonly string[] {
  const { method, origin, path, headers, body } = request;
  const signed = ['host', new URL(origin).host];
  for (let i = 0; i < headers.length; i += 2) {
    if (/^(?:content-type|x-amz(?:n)?-.*)$/i.test(headers[i]!)) signed.push(headers[i]!, headers[i + 1]!);
  }
  return signV4({ method, path, headers: signed, body }, scope, credentials, epochMs);
}
