/**
 * The catalogue of Breakwater's own errors. They are recognised by code, never by message.
 * `refused` marks the family "refused, not run": no upstream call was made for the request.
 */
interface CatalogueEntry {
  readonly status: number;
  /** `error.type` on Anthropic paths and, where OpenAI has no type for it, on OpenAI paths. */
  readonly anthropicType: string;
  readonly openaiType: string;
  readonly refused: boolean;
  /** A client may retry the request after the given wait. */
  readonly retryable: boolean;
}

function entry(
  status: number,
  anthropicType: string,
  openaiType: string,
  flags: { refused?: boolean; retryable?: boolean } = {},
): CatalogueEntry {
  return { status, anthropicType, openaiType, refused: flags.refused ?? false, retryable: flags.retryable ?? false };
}

const REFUSED = { refused: true };
const REFUSED_RETRYABLE = { refused: true, retryable: true };

export const ERROR_CATALOGUE = {
  invalid_request: entry(400, 'invalid_request_error', 'invalid_request_error', REFUSED),
  capability_unsupported: entry(400, 'invalid_request_error', 'invalid_request_error', REFUSED),
  invalid_api_key: entry(401, 'authentication_error', 'authentication_error', REFUSED),
  model_not_allowed: entry(403, 'permission_error', 'permission_error', REFUSED),
  not_local: entry(403, 'permission_error', 'permission_error', REFUSED),
  model_not_found: entry(404, 'not_found_error', 'not_found_error', REFUSED),
  not_found: entry(404, 'not_found_error', 'not_found_error', REFUSED),
  previous_response_not_found: entry(400, 'invalid_request_error', 'invalid_request_error', REFUSED),
  request_too_large: entry(413, 'request_too_large', 'invalid_request_error', REFUSED),
  idempotency_conflict: entry(409, 'invalid_request_error', 'invalid_request_error', REFUSED),
  queue_full: entry(429, 'rate_limit_error', 'rate_limit_error', REFUSED_RETRYABLE),
  budget_exceeded: entry(429, 'rate_limit_error', 'rate_limit_error', REFUSED),
  rate_limited: entry(429, 'rate_limit_error', 'rate_limit_error', REFUSED_RETRYABLE),
  no_target_available: entry(503, 'overloaded_error', 'overloaded_error', REFUSED_RETRYABLE),
  deadline_exceeded: entry(504, 'timeout_error', 'timeout_error'),
  upstream_auth_failed: entry(502, 'api_error', 'api_error'),
  all_targets_failed: entry(502, 'api_error', 'api_error'),
  stream_interrupted: entry(502, 'api_error', 'api_error'),
  stream_stalled: entry(504, 'timeout_error', 'timeout_error'),
  store_unavailable: entry(503, 'api_error', 'api_error', REFUSED),
  shutting_down: entry(503, 'overloaded_error', 'overloaded_error', REFUSED_RETRYABLE),
  internal_error: entry(500, 'api_error', 'api_error'),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

export interface BreakwaterErrorOptions {
  /** Overrides the catalogue's status (an upstream's own). */
  readonly status?: number;
  /** The invalid field of the request, as `error.param`. */
  readonly param?: string;
  /** Milliseconds after which a retry may succeed; null: unknown. */
  readonly retryAfterMs?: number | null;
  readonly cause?: unknown;
}

/** An error that Breakwater returns to the caller. It contains nothing internal: its message is shown unchanged. */
export class BreakwaterError extends Error {
  override readonly name = 'BreakwaterError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly param: string | null;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, message: string, options: BreakwaterErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? ERROR_CATALOGUE[code].status;
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** True if no upstream call was made. */
  get refused(): boolean {
    return ERROR_CATALOGUE[this.code].refused;
  }
}

/** Of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
