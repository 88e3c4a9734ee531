/** How a provider is addressed: paths below its base URL, and headers that its API demands. */
import type { HeaderPairs } from '../core/headers.ts';
import type { Operation } from '../core/request.ts';

export interface EndpointCall {
  readonly operation: Operation;
  /** What the target is sent, by name. */
  readonly dialect: string;
  /** As the caller gave it, without the version and with its query; null: the call was converted from another dialect. */
  readonly path: string | null;
  /** The target's name for the model. */
  readonly model: string;
  readonly stream: boolean;
}

export interface Endpoint {
  /** Path and query of a call. `basePath`: that of the base URL, without a slash at its end. */
  path(basePath: string, call: EndpointCall): string;
  /** The path of the provider's list of models. */
  modelsPath(basePath: string): string;
  /**
   * The header for a caller's own credential (`apiKey: caller`). `given`: the one that it came in; null: the call was converted from another
   * dialect. `authorization` means `Bearer`.
   */
  credentialHeader(credential: string, given: string | null): string;
  /** Sent with every call that has no such header itself; names in lower case. */
  readonly defaultHeaders: Readonly<HeaderPairs>;
}
