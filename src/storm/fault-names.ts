/** Fault names by family; `kinds/` defines their behaviour. */

/** Statuses that are combined with every error shape (`ERROR_SHAPES` in `failure-reasons.ts`). */
const SHAPED_STATUSES = ['400', '429', '503'] as const;
const SHAPED = ['flat', 'message', 'string', 'array', 'double', 'quoted', 'numeric', 'google', 'detail', 'words', 'gzip'] as const;

export type ShapedRefusalKind = `${(typeof SHAPED_STATUSES)[number]}-${(typeof SHAPED)[number]}`;

/** Positions of an error event in a stream, and its shapes besides the default. */
const EVENT_PLACES = ['first', 'preamble', 'content', 'finish'] as const;
const EVENT_SHAPES = ['string', 'flat', 'array', 'double', 'event'] as const;

export type ShapedEventKind = `error-${(typeof EVENT_PLACES)[number]}-${(typeof EVENT_SHAPES)[number]}`;

const REFUSALS = [
  '400',
  '400-context',
  '400-parameter',
  '400-content-filter',
  '400-azure-filter',
  '400-spend-limit',
  '400-empty',
  '400-html',
  '401',
  '401-string',
  '402',
  '403',
  '404',
  '404-deployment',
  '408',
  '409',
  '413',
  '422-detail',
  '425',
  '498',
  '500',
  '500-html',
  '502',
  '502-html',
  '503',
  '503-html',
  '503-empty',
  '503-retry',
  '503-loading',
  '503-busy',
  '504',
  '504-html',
  '524',
  '529',
  'status',
  'redirect',
  'no-content',
] as const;

const WAITS = [
  '429',
  '429-retry',
  '429-date',
  '429-date-past',
  '429-date-minus',
  '429-ms',
  '429-x-ms',
  '429-both',
  '429-zero',
  '429-long',
  '429-reset',
  '429-retry-info',
  '429-retry-info-array',
  '429-text',
  '429-text-go',
  '429-text-plain',
  '429-absurd',
  '429-empty',
  '429-html',
  '429-tokens',
  '429-quota',
  '429-quota-day',
  '429-too-large',
  '429-slow-down',
  '429-flex',
] as const;

const CONNECTIONS = [
  'reset',
  'close',
  'silence',
  'silence-content',
  'stall',
  'cut',
  'cut-reset',
  'cut-byte',
  'reset-byte',
  'cut-event',
  'reset-event',
  'cut-character',
  'reset-character',
  'cut-last',
  'drip',
  'bytes',
  'split',
  'split-at',
  'one-packet',
] as const;

const FRAMINGS = [
  'wire-bytes',
  'wire-split',
  'wire-cut',
  'wire-reset',
  'chunk-cut',
  'chunk-cut-size',
  'chunk-cut-end',
  'chunk-reset',
  'chunk-bad',
  'chunk-no-end',
  'chunk-extension',
  'trailers',
  'close-delimited',
  'close-delimited-cut',
  'close-after',
  'length-long',
  'length-long-open',
  'length-short',
  'head-cut',
  'head-garbage',
  'head-huge',
  'continue',
  'early-hints',
  'upgrade',
] as const;

const ENCODINGS = [
  'gzip',
  'gzip-one',
  'br',
  'zstd',
  'deflate',
  'gzip-cut',
  'gzip-truncated',
  'gzip-corrupt',
  'gzip-false',
  'gzip-unnamed',
  'encoding-unknown',
  'encoding-identity',
  'encoding-two',
] as const;

const STREAM_ERRORS = [
  'error-first',
  'error-failed',
  'error-before',
  'error-preamble',
  'error-content',
  'error-finish',
  'error-choice',
  'error-done',
  'error-after-done',
] as const;

const ENDS = [
  'no-done',
  'no-finish',
  'no-end',
  'no-blank',
  'no-newline',
  'no-blank-finish',
  'after-done',
  'done-twice',
  'done-only',
  'done-open',
  'finish-open',
  'finish-only',
  'finish-twice',
  'finish-late',
  'finish-joined',
  'finish-odd',
  'finish-reason',
  'finish-fields',
  'malformed',
  'empty-stream',
  'comments-only',
] as const;

const LETTERS = [
  'comments',
  'comments-between',
  'comments-endless',
  'comments-endless-content',
  'comment-long',
  'crlf',
  'cr',
  'mixed-lines',
  'bom',
  'blank-lines',
  'data-empty',
  'data-multi',
  'data-no-space',
  'event-lines',
  'event-unknown',
  'id-retry',
  'field-unknown',
  'line-long',
  'preamble-endless',
  'endless',
  'invalid-utf8',
  'separators',
  'surrogates',
  'spaced-json',
] as const;

const CHUNKS = [
  'usage-each',
  'usage-finish',
  'usage-no-choices',
  'usage-null',
  'usage-missing',
  'usage-groq',
  'usage-twice',
  'usage-first',
  'usage-odd',
  'filter-first',
  'filter-between',
  'choices-null',
  'duplicate',
  'ids-change',
  'role-each',
  'role-missing',
  'index-missing',
  'delta-missing',
  'deltas-empty',
  'fields-unknown',
  'deep',
] as const;

const TOOLS = [
  'tool',
  'tool-whole',
  'tool-whole-finish',
  'tool-id-repeated',
  'tool-id-empty',
  'tool-id-missing',
  'tool-name-split',
  'tool-two',
  'tool-interleaved',
  'tool-index-missing',
  'tool-index-same',
  'tool-arguments-empty',
  'tool-arguments-null',
  'tool-arguments-object',
  'tool-arguments-broken',
  'tool-after-text',
  'tool-stop',
  'tool-no-finish',
  'tool-cut',
  'tool-error',
  'function-call',
] as const;

const CONTENTS = [
  'empty-choices',
  'empty-null',
  'empty',
  'truncated',
  'refusal',
  'refusal-late',
  'content-filter',
  'blocked',
  'repetition',
  'prose',
  'unicode',
  'marks',
  'reasoning',
  'reasoning-content',
  'reasoning-only',
  'reasoning-cut',
] as const;

const BODIES = [
  'empty-body',
  'html',
  'type',
  'wrong-type',
  'type-missing',
  'type-json',
  'type-sse',
  'type-html',
  'type-case',
  'json-for-stream',
  'json-for-stream-pretty',
  'sse-for-plain',
  'sse-for-plain-cut',
  'lines-for-stream',
  'two-json',
  'trailing',
  'trailing-space',
  'leading-lines',
  'pretty',
  'array-wrapped',
  'null-body',
  'long-body',
] as const;

const each = <A extends string, B extends string, C extends string>(
  before: readonly A[],
  after: readonly B[],
  join: (a: A, b: B) => C,
): C[] => before.flatMap((a) => after.map((b) => join(a, b)));

const shapedRefusals = each(SHAPED_STATUSES, SHAPED, (status, shape): ShapedRefusalKind => `${status}-${shape}`);
const shapedEvents = each(EVENT_PLACES, EVENT_SHAPES, (place, shape): ShapedEventKind => `error-${place}-${shape}`);

export type RefusalKind = (typeof REFUSALS)[number];
export type WaitKind = (typeof WAITS)[number];
export type ConnectionKind = (typeof CONNECTIONS)[number];
export type FramingKind = (typeof FRAMINGS)[number];
export type EncodingKind = (typeof ENCODINGS)[number];
export type StreamErrorKind = (typeof STREAM_ERRORS)[number];
export type EndKind = (typeof ENDS)[number];
export type LetterKind = (typeof LETTERS)[number];
export type ChunkKind = (typeof CHUNKS)[number];
export type ToolKind = (typeof TOOLS)[number];
export type ContentKind = (typeof CONTENTS)[number];
export type BodyKind = (typeof BODIES)[number];

export type StormFaultKind =
  | RefusalKind
  | ShapedRefusalKind
  | WaitKind
  | ConnectionKind
  | FramingKind
  | EncodingKind
  | StreamErrorKind
  | ShapedEventKind
  | EndKind
  | LetterKind
  | ChunkKind
  | ToolKind
  | ContentKind
  | BodyKind;

/** Every fault kind. */
export const FAULT_NAMES: readonly StormFaultKind[] = [
  ...REFUSALS,
  ...shapedRefusals,
  ...WAITS,
  ...CONNECTIONS,
  ...FRAMINGS,
  ...ENCODINGS,
  ...STREAM_ERRORS,
  ...shapedEvents,
  ...ENDS,
  ...LETTERS,
  ...CHUNKS,
  ...TOOLS,
  ...CONTENTS,
  ...BODIES,
];

const known = new Set<string>(FAULT_NAMES);

/** Whether a name is a fault kind. */
export function isFaultKind(name: string): name is StormFaultKind {
  return known.has(name);
}

/** The factors of the combined names `STATUS-SHAPE` and `error-PLACE-SHAPE`. */
export const NAME_FACTORS = { SHAPED_STATUSES, SHAPED, EVENT_PLACES, EVENT_SHAPES };
