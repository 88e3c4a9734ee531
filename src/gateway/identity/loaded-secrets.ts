import { SecretMask } from '../../core/secrets/secret-mask.ts';

/** The most secrets kept, newest first; older ones may still be quoted. */
const SECRETS_MAX = 2_000;
/** Shorter secrets occur in ordinary text. */
const LENGTH_MIN = 8;

/** Tokens and keys that are loaded at runtime and masked like those of the config. */
export class LoadedSecrets {
  readonly #onChange: () => void;
  #secrets: readonly string[] = [];

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  readonly add = (secret: string): void => {
    if (secret.length < LENGTH_MIN || this.#secrets.includes(secret)) return;
    this.#secrets = [...this.#secrets, secret].slice(-SECRETS_MAX);
    this.#onChange();
  };

  maskWith({ secrets }: { readonly secrets: readonly string[] }): SecretMask {
    return new SecretMask([...secrets, ...this.#secrets]);
  }
}
