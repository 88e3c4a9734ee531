/** How a provider is addressed: paths below its base URL, headers that its API requires, and differences of its bodies from the dialect. */
import type { HeaderPairs } from '../core/headers.ts';
import type { Operation } from '../core/request.ts';

export interface EndpointCall {
  readonly operation: Operation;
  /** The name of the dialect sent to the target. */
  readonly dialect: string;
  /** The caller's path, without the version and with its query; null: the call was converted from another dialect. */
  readonly path: string | null;
  /** The target's name for the model. */
  readonly model: string;
  readonly stream: boolean;
}

export interface Endpoint {
  /** Path and query of a call. `basePath`: the path of the base URL, without a trailing slash. */
  path(basePath: string, call: EndpointCall): string;
  /** The path of the provider's model list; null: there is none with names that requests can use. */
  modelsPath(basePath: string): string | null;
  /**
   * The header for a caller's own credential (`apiKey: caller`). `given`: the header it arrived in; null: the call was converted from another
   * dialect. `authorization` means `Bearer`.
   */
  credentialHeader(credential: string, given: string | null): string;
  /** Sent with every call that lacks them; names in lower case. */
  readonly defaultHeaders: Readonly<HeaderPairs>;
  /** False: the call is not supported, although the dialect is. Absent: all are. */
  serves?(operation: Operation, path: string): boolean;
  /** How bodies of chat requests differ from the dialect's. Absent: not at all. */
  readonly body?: BodyRules;
}

export interface BodyRules {
  /** Top-level members that are sent elsewhere, such as the model in the path. */
  readonly omit: readonly string[];
  /** Default values of members that a request lacks. */
  readonly set: Readonly<Record<string, unknown>>;
  /** A header whose comma-separated values are sent as a list in the body instead; null: none. */
  readonly listHeader: { readonly header: string; readonly member: string } | null;
}
