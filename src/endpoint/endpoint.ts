/** How a provider is addressed: paths below its base URL, headers that its API demands, and what its bodies need beside the dialect. */
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
  /** The path of the provider's list of models; null: it has none that names what is asked for. */
  modelsPath(basePath: string): string | null;
  /**
   * The header for a caller's own credential (`apiKey: caller`). `given`: the one that it came in; null: the call was converted from another
   * dialect. `authorization` means `Bearer`.
   */
  credentialHeader(credential: string, given: string | null): string;
  /** Sent with every call that has no such header itself; names in lower case. */
  readonly defaultHeaders: Readonly<HeaderPairs>;
  /** False: it has no such call, though it speaks the dialect. Absent: it has all. */
  serves?(operation: Operation, path: string): boolean;
  /** How its bodies of chat requests differ from the dialect's. Absent: not at all. */
  readonly body?: BodyRules;
}

export interface BodyRules {
  /** Top-level members that stand elsewhere, as the model in the path. */
  readonly omit: readonly string[];
  /** Members with the values that they have where a request has none. */
  readonly set: Readonly<Record<string, unknown>>;
  /** A header whose comma list is sent as a list in the body instead; null: none. */
  readonly listHeader: { readonly header: string; readonly member: string } | null;
}
