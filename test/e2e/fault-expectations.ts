/**
 * The expected result of a request when one of its providers has a fault, for every Storm kind. A fault is passed
 * through, causes a fallback, is reported, or breaks a started stream; `fault-fates.ts` defines the terms.
 */
import { NAME_FACTORS } from '../../src/storm/fault-names.ts';
import type { StormFaultKind } from '../../src/storm/index.ts';
import {
  bodiless,
  both,
  breaks,
  breaksAtEnd,
  breaksByError,
  broken,
  busy,
  byteByByte,
  conflict,
  cut,
  hollow,
  inRequest,
  invalid,
  unknown,
  unknownStatus,
  limited,
  malformed,
  other,
  overloaded,
  page,
  passes,
  plainly,
  refused,
  repetitive,
  saysOther,
  serverError,
  silent,
  spent,
  suspected,
  unclear,
  stalls,
  streamed,
  toldInside,
  unheld,
  within,
} from './fault-fates.ts';
import type { Breaks, Expectation, Fails } from './fault-fates.ts';

type Table<Name extends string> = Partial<Record<Name, Expectation | readonly Expectation[]>>;

const WAITS: Table<string> = {
  '429': both(limited),
  '429-retry': [both(limited, { retryAfter: 0 }), both(limited, { retryAfter: 'Wed, 21 Oct 2015 07:28:00 -0000' })],
  '429-date': both(limited, { ms: 0 }),
  '429-date-past': both(limited),
  '429-date-minus': both(limited, { ms: 0 }),
  '429-ms': both(limited, { retryAfterMs: 30 }),
  '429-x-ms': both(limited, { ms: 30 }),
  '429-both': both(limited, { retryAfterMs: 30 }),
  '429-zero': both(limited),
  '429-long': both({ ...limited, calls: 1 }),
  '429-reset': both(limited, { ms: 30 }),
  '429-retry-info': both(limited, { ms: 30 }),
  '429-retry-info-array': page(limited, { ms: 30 }),
  '429-text': both(limited, { ms: 30 }),
  '429-text-go': both(limited, { ms: 30 }),
  '429-text-plain': both(limited, { ms: 30 }),
  '429-absurd': [both(limited), both(limited, { retryAfter: '99999999999' })],
  '429-empty': page(limited),
  '429-html': page(limited),
  '429-tokens': both(limited),
  '429-slow-down': both(limited),
  '429-flex': both(unheld),
  '429-quota': both(spent),
  '429-quota-day': both(spent),
  '429-too-large': both({ ...inRequest, reason: 'too_large', status: 429 }),
};

const REFUSALS: Table<string> = {
  '400': [both(unknown), both({ ...spent, status: 400 }, { message: 'You have reached your spend limit.' })],
  '400-context': both({ ...inRequest, reason: 'context_length' }),
  '400-content-filter': both({ ...inRequest, reason: 'content_filter' }),
  '400-azure-filter': both({ ...inRequest, reason: 'content_filter' }),
  '400-spend-limit': both({ ...spent, status: 400 }),
  '400-empty': page(unknown),
  '400-html': page(unknown),
  '400-parameter': [
    both({ ...inRequest, reason: 'unsupported' }, { param: 'messages' }),
    both({ end: 'passes', calls: 2 }, {}, { temperature: 0.2 }),
    both(passes),
  ],
  '401': both(refused),
  '401-string': both(suspected),
  '402': both({ ...spent, status: 402 }),
  '403': both(suspected),
  '404': both({ ...inRequest, reason: 'model_not_found', status: 404 }),
  '404-deployment': both({ ...inRequest, reason: 'model_not_found', status: 404 }),
  '408': both({ ...conflict, reason: 'timeout', status: 408 }),
  '409': both(conflict),
  '413': page({ ...unknownStatus, status: 413 }),
  '422-detail': page({ ...invalid, status: 422 }),
  '425': both({ ...conflict, status: 425 }),
  '498': both({ ...overloaded, status: 498 }),
  '500': both(serverError),
  '500-html': page(serverError),
  '502': both({ ...serverError, status: 502 }),
  '502-html': page({ ...serverError, status: 502 }),
  '503': both(overloaded),
  '503-html': page(overloaded),
  '503-empty': page(overloaded),
  '503-retry': both({ ...overloaded, holds: 'cooldown' }, { retryAfter: '0.05' }),
  '503-loading': both(busy),
  '503-busy': both(busy),
  '504': both({ ...serverError, status: 504 }),
  '504-html': page({ ...serverError, status: 504 }),
  '524': page({ ...serverError, status: 524 }),
  '529': both({ ...overloaded, status: 529 }),
  status: [
    both(unknownStatus, { status: 418 }),
    both({ ...unknown, status: 422 }, { status: 422 }),
    both({ ...unclear, status: 402 }, { status: 402 }),
    both({ ...conflict, status: 425 }, { status: 425 }),
  ],
  redirect: both({ ...malformed, verdict: 'switch', told: 'its words' }),
  'no-content': both(bodiless),
};

/** A proxy in front of another SDK preserves these bodies only if the SDK can read them. */
const READABLE: ReadonlySet<string> = new Set(['double', 'numeric', 'google', 'gzip']);

function shapedRefusals(): Table<string> {
  const fates = { '400': unknown, '429': limited, '503': overloaded };
  return Object.fromEntries(
    Object.entries(fates).flatMap(([status, fate]) =>
      NAME_FACTORS.SHAPED.map((shape) => [`${status}-${shape}`, READABLE.has(shape) ? both(fate) : page(fate)]),
    ),
  );
}

const CONNECTIONS: Table<string> = {
  reset: both(broken),
  close: both(broken),
  silence: both(silent),
  'silence-content': both(silent),
  stall: within(silent, stalls),
  cut: within(cut, breaks),
  'cut-reset': within(cut, breaks),
  'cut-byte': [{ plain: cut, stream: breaks }, both(cut, { bytes: 100 })],
  'reset-byte': [{ plain: cut, stream: breaks }, both(cut, { bytes: 100 })],
  'cut-event': within(cut, breaks),
  'reset-event': within(cut, breaks),
  'cut-character': within(cut, { ...breaks, says: 'as the fault has it' }),
  'reset-character': within(cut, { ...breaks, says: 'as the fault has it' }),
  'cut-last': { plain: cut, stream: breaksAtEnd },
  drip: both(passes, { ms: 3 }),
  bytes: byteByByte,
  split: byteByByte,
  'split-at': both(passes),
  'one-packet': both(passes),
};

const FRAMINGS: Table<string> = {
  'wire-bytes': byteByByte,
  'wire-split': byteByByte,
  'wire-cut': [{ plain: cut, stream: breaks }, both(broken, { bytes: 20 })],
  'wire-reset': [{ plain: cut, stream: breaks }, both(broken, { bytes: 20 })],
  'chunk-cut': within(cut, breaks),
  'chunk-cut-size': within(cut, breaks),
  'chunk-cut-end': { with: { afterTokens: 4 }, plain: cut, stream: breaks },
  'chunk-reset': within(cut, breaks),
  'chunk-bad': within(cut, breaks),
  'chunk-no-end': plainly(cut),
  'chunk-extension': both(passes),
  trailers: both(passes),
  'close-delimited': both(passes),
  'close-delimited-cut': { plain: malformed, stream: breaks },
  'close-after': both(passes),
  'length-long': plainly(cut),
  'length-long-open': plainly(silent),
  'length-short': plainly(malformed),
  'head-cut': both(broken),
  'head-garbage': both(broken),
  'head-huge': both(broken),
  continue: both(passes),
  'early-hints': both(passes),
  upgrade: both(broken),
};

const ENCODINGS: Table<string> = {
  gzip: both(passes),
  'gzip-one': both(passes),
  br: both(passes),
  zstd: both(passes),
  deflate: both(passes),
  'gzip-cut': { plain: cut, stream: breaks },
  'gzip-truncated': { plain: cut, stream: breaks },
  'gzip-corrupt': { plain: malformed, stream: { ...breaks, reason: 'malformed' } },
  'gzip-false': both(malformed),
  'gzip-unnamed': both(malformed),
  'encoding-unknown': both(malformed),
  'encoding-identity': both(passes),
  'encoding-two': { plain: malformed, stream: passes },
};

const STREAM_ERRORS: Table<string> = {
  'error-first': both(toldInside),
  'error-before': both(toldInside),
  'error-preamble': both(toldInside),
  'error-content': within(toldInside, breaksByError),
  'error-failed': within(toldInside, breaksByError),
  'error-finish': { plain: toldInside, stream: { ...breaksByError, after: 'all of it' } },
  'error-choice': [
    { with: { afterTokens: 4 }, plain: { ...toldInside, status: 500 }, stream: breaksByError },
    { with: { afterTokens: 0 }, plain: { ...toldInside, status: 500 }, stream: toldInside },
  ],
  'error-done': within(toldInside, breaksByError),
  'error-after-done': both(passes),
};

/** A numeric code is a status, and is reported as such. */
function shapedEvents(): Table<string> {
  return Object.fromEntries(
    NAME_FACTORS.EVENT_SHAPES.flatMap((shape) => {
      const before: Fails = shape === 'double' ? { ...toldInside, status: 500 } : toldInside;
      return [
        [`error-first-${shape}`, both(before)],
        [`error-preamble-${shape}`, both(before)],
        [`error-content-${shape}`, within(before, breaksByError)],
        [`error-finish-${shape}`, { plain: before, stream: { ...breaksByError, after: 'all of it' } }],
      ];
    }),
  );
}

const ENDS: Table<string> = {
  'no-done': both(passes),
  'no-finish': other,
  'no-end': streamed(breaksAtEnd),
  'no-blank': both(passes),
  'no-newline': both(passes),
  'no-blank-finish': both(passes),
  'after-done': both(passes),
  'done-twice': both(passes),
  'done-only': streamed(bodiless),
  'done-open': both(passes),
  'finish-open': streamed({ end: 'passes', isSilent: true }),
  'finish-only': streamed(hollow),
  'finish-twice': both(passes),
  'finish-late': both(passes),
  'finish-joined': both(passes),
  'finish-odd': { plain: toldInside, stream: { ...breaksByError, after: 'all of its content' } },
  'finish-reason': { plain: toldInside, stream: { ...breaksByError, after: 'all of its content' } },
  'finish-fields': both(passes),
  malformed: within(malformed, { ...breaks, reason: 'malformed' }),
  'empty-stream': streamed(bodiless),
  'comments-only': streamed(bodiless),
};

const LETTERS: Table<string> = {
  comments: both(passes, { ms: 2 }),
  'comments-between': both(passes),
  'comments-endless': streamed(silent),
  'comments-endless-content': streamed(stalls, { afterTokens: 4 }),
  'comment-long': both(passes),
  crlf: both(passes),
  cr: both(passes),
  'mixed-lines': both(passes),
  bom: both(passes),
  'blank-lines': both(passes),
  'data-empty': both(passes),
  'data-multi': both(passes),
  'data-no-space': both(passes),
  'event-lines': both(passes),
  'event-unknown': both(passes),
  'id-retry': both(passes),
  'field-unknown': both(passes),
  'line-long': { ...both(passes), isLarge: true },
  // For a tool call the preamble is content, so the fault is as endless as `endless`.
  'preamble-endless': { ...streamed(silent), isLarge: true },
  endless: { ...streamed({ end: 'endless' }), isLarge: true },
  'invalid-utf8': { plain: malformed, stream: saysOther },
  separators: other,
  surrogates: streamed(saysOther),
  'spaced-json': both(passes),
};

const CHUNKS: Table<string> = {
  'usage-each': both(passes),
  'usage-finish': both(passes),
  'usage-no-choices': both(passes),
  'usage-null': both(passes),
  'usage-missing': both(passes),
  'usage-groq': both(passes),
  'usage-twice': both(passes),
  'usage-first': both(passes),
  'usage-odd': both(passes),
  'filter-first': both(passes),
  'filter-between': both(passes),
  'choices-null': both(passes),
  duplicate: streamed(saysOther),
  'ids-change': both(passes),
  'role-each': both(passes),
  'role-missing': both(passes),
  'index-missing': { ...both(passes), oneChoiceOnly: true },
  'delta-missing': both(passes),
  'deltas-empty': both(passes),
  'fields-unknown': both(passes),
  deep: both(passes),
};

const breaksInTool: Breaks = { ...breaks, says: 'as the fault has it' };

const TOOLS: Table<string> = {
  tool: other,
  'tool-whole': other,
  'tool-whole-finish': other,
  'tool-id-repeated': other,
  'tool-id-empty': other,
  'tool-id-missing': other,
  'tool-name-split': other,
  'tool-two': other,
  'tool-interleaved': other,
  'tool-index-missing': other,
  'tool-index-same': other,
  'tool-arguments-empty': other,
  'tool-arguments-null': other,
  'tool-arguments-object': other,
  'tool-arguments-broken': { plain: cut, stream: { ...breaksInTool, says: 'as the fault has it, without its finish reason' } },
  'tool-after-text': other,
  'tool-stop': other,
  'tool-no-finish': { plain: saysOther, stream: breaksInTool },
  'tool-cut': { with: { afterTokens: 4 }, plain: saysOther, stream: breaksInTool },
  'tool-error': { with: { afterTokens: 4 }, plain: saysOther, stream: { ...breaksInTool, reason: 'server_error' } },
  'function-call': other,
};

const CONTENTS: Table<string> = {
  'empty-choices': both(bodiless),
  'empty-null': both(hollow),
  empty: both(hollow),
  truncated: [both(saysOther, { afterTokens: 3 }), both(hollow, { afterTokens: 0 })],
  refusal: other,
  'refusal-late': streamed(saysOther),
  'content-filter': other,
  blocked: other,
  repetition: both(repetitive),
  prose: other,
  unicode: other,
  marks: other,
  reasoning: other,
  'reasoning-content': other,
  'reasoning-only': both({ end: 'poor', mark: 'empty' }),
  'reasoning-cut': { plain: saysOther, stream: { ...breaks, says: 'as the fault has it' } },
};

const BODIES: Table<string> = {
  'empty-body': both(bodiless),
  html: both(malformed),
  type: both(passes),
  'wrong-type': both(passes),
  'type-missing': both(passes),
  'type-json': both(passes),
  'type-sse': both(passes),
  'type-html': both(malformed),
  'type-case': both(passes),
  'json-for-stream': both(passes),
  'json-for-stream-pretty': both(passes),
  'sse-for-plain': both(passes),
  'sse-for-plain-cut': plainly(cut),
  'lines-for-stream': streamed(malformed),
  'two-json': plainly(malformed),
  trailing: plainly(malformed),
  'trailing-space': both(passes),
  'leading-lines': both(passes),
  pretty: both(passes),
  'array-wrapped': plainly(malformed),
  'null-body': plainly(malformed),
  'long-body': { ...both(passes), isLarge: true },
};

/** By kind; Storm describes what each kind does. */
const EXPECTATIONS: Table<string> = {
  ...REFUSALS,
  ...shapedRefusals(),
  ...WAITS,
  ...CONNECTIONS,
  ...FRAMINGS,
  ...ENCODINGS,
  ...STREAM_ERRORS,
  ...shapedEvents(),
  ...ENDS,
  ...LETTERS,
  ...CHUNKS,
  ...TOOLS,
  ...CONTENTS,
  ...BODIES,
};

/** All expectations of a kind; empty if none are defined. */
export function expectationsOf(kind: StormFaultKind): readonly Expectation[] {
  const found = EXPECTATIONS[kind];
  if (found === undefined) return [];
  return Array.isArray(found) ? (found as readonly Expectation[]) : [found as Expectation];
}
