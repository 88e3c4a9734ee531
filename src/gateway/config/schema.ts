/** The input schema of the config, for files and the library. Unknown keys are faults. */
import * as z from 'zod';
import { PROMPT_SIZES } from '../../core/price.ts';
import { PRIORITIES } from '../../core/request.ts';
import { BUDGET_PERIODS } from '../../policy/budget/money-budget.ts';
import { amount, block, count, duration, flag, headerRecord, setting, size, text, word } from './fields.ts';
import { modelSchema } from './model-schema.ts';
import { policySettings } from './policy-schema.ts';
import { limitsSchema, providerSchema } from './provider-schema.ts';

/** The default port. */
export const defaultPort = 4747;

const optionalText = z.string({ error: 'must be a string' });

const passThrough = z.array(
  z.strictObject({
    path: z
      .string({ error: 'must be a path' })
      .regex(/^\/\S*$/, { error: 'must be a path that starts with /' })
      .meta({ description: 'The path, starting with /.', examples: ['/v1/ocr'] }),
    provider: text().meta({ description: 'The provider to forward to.', examples: ['mistral'] }),
    clients: z
      .array(text(), { error: 'must be a list of client names' })
      .meta({ description: 'The clients that may use it. Default: all.', examples: [['web']] })
      .optional(),
  }),
  { error: 'must be a list of { path, provider, clients }' },
);

const socketModeRule = 'must be three octal digits in quotes, such as "0660"';

const otlpUrlRule = 'must be a URL that starts with http:// or https://';
const corsOrigins = z.array(
  z
    .string({ error: 'must be an origin such as https://app.example' })
    .transform((origin) => origin.toLowerCase())
    .refine(isOrigin, { error: 'must be an origin such as https://app.example, without a path, or *' }),
  { error: 'must be a list of origins' },
);

function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
}

const otlpUrl = z
  .string({ error: otlpUrlRule })
  .refine((text) => text === '' || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)), { error: otlpUrlRule });

export const serverSettings = block('Server', 'The listener.', {
  host: setting(text(), '127.0.0.1', 'The address to bind.'),
  port: setting(count(0, 65_535), defaultPort, 'The port; 0: any free port.'),
  socket: setting(
    optionalText,
    '',
    'A unix socket to listen on instead of host and port, relative to the folder of the config. Its callers are local.',
    'breakwater.sock',
  ),
  socketMode: setting(
    z.string({ error: socketModeRule }).regex(/^0?[0-7]{3}$/, { error: socketModeRule }),
    '0660',
    'The permissions of the unix socket, in octal digits.',
  ),
  tls: block('Tls', 'HTTPS instead of HTTP. The files are read again when they change. Default: none.', {
    cert: setting(optionalText, '', 'The certificate and its chain, a PEM file, relative to the folder of the config.', 'tls/cert.pem'),
    key: setting(optionalText, '', 'Its private key, a PEM file without a passphrase.', 'tls/key.pem'),
  }),
  maxBodySize: setting(size('1kb', '1gb'), '64mb', 'The largest request body, after decompression.'),
  maxBufferedBytes: setting(
    size('1mb', '1024gb'),
    '512mb',
    'The most memory for request bodies and responses in flight; beyond it a new body is refused with queue_full.',
  ),
  maxCacheBytes: setting(
    size('1kb', '1024gb'),
    '64mb',
    'The most memory for stored responses: for the cache, and the same again for idempotency keys.',
  ),
  drainTimeout: setting(duration('0ms', '1d'), '30s', 'How long running requests may continue when the process is stopped.'),
  drainHeaders: setting(
    headerRecord(),
    {},
    'Headers added to the refusal of new requests while the process shuts down, so that a proxy can recognize it and send the request to another instance.',
    { 'x-accel-redirect': '@others' },
  ),
  adminKey: setting(
    optionalText,
    '',
    'The bearer token for /admin and /metrics. Empty: none; they are available on loopback only.',
    '${ADMIN_KEY}',
  ),
  allowAnonymous: setting(flag<never>(), false, 'Whether a non-loopback address may be bound without client keys.'),
  cors: block('Cors', 'Web pages that may call the API, with the key of a client. Default: none.', {
    origins: setting(corsOrigins, [], 'Their origins, such as https://app.example; * allows every page.', ['https://app.example']),
  }),
  passThrough: setting(passThrough, [], 'Additional POST paths that are forwarded unchanged.', [{ path: '/v1/ocr', provider: 'mistral' }]),
  listener: setting(
    word('sockets', 'node'),
    'sockets',
    'The HTTP server. sockets: plain sockets with the HTTP parser of Node.js, which is faster; node: node:http, which is also the fallback if the parser is not available.',
  ),
  httpClient: setting(
    word('sockets', 'undici'),
    'sockets',
    'The HTTP client for providers. sockets: plain sockets with the HTTP parser of Node.js, which is faster; behind a proxy undici is used instead.',
  ),
});

export const batchSettings = block('Batch', 'Files and batches, which are kept in the store.', {
  retention: setting(duration('1h', '365d'), '30d', 'How long files, finished batches and their results are retained.'),
  maxBytes: setting(size('1mb', '1024gb'), '10gb', 'The largest size of the store; beyond it new files and batches are refused.'),
  maxOpen: setting(count(1, 100_000), 1_000, 'The most unfinished batches, over all clients.'),
  native: setting(
    word('off', 'prefer'),
    'off',
    "prefer: requests whose first target has a batch API of its own at half the price are handed over to it, and taken back before the batch's window ends.",
  ),
});

export const clusterSettings = block('Cluster', 'Instances that share a store.', {
  expectedInstances: setting(
    count(1, 1_000),
    1,
    'While the store is unavailable, each limit is divided among at least this many instances. Needed if an instance may start while the store is unavailable.',
  ),
});

export const telemetrySettings = block('Telemetry', 'Logs, metrics and traces.', {
  logs: block('Logs', 'JSON lines on stderr.', {
    level: setting(word('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), 'info', 'The lowest level that is logged.'),
    prompts: setting(
      flag<never>(),
      false,
      'Whether prompts are logged, at level info, with everything that looks like a credential masked.',
    ),
  }),
  requests: block('Requests', 'One JSON line per finished request.', {
    file: setting(optionalText, '', 'The file, relative to the folder of the config. Empty: none.', 'requests.jsonl'),
    bodies: setting(
      flag<never>(),
      false,
      'Whether lines include request and response bodies, at most 64 KB of each, with everything that looks like a credential masked.',
    ),
  }),
  metrics: setting(flag('public'), true, 'Prometheus metrics at /metrics. public: without the admin key, on every address.'),
  traces: block('Traces', 'OpenTelemetry traces over OTLP/HTTP.', {
    endpoint: setting(
      otlpUrl,
      '',
      'The OTLP endpoint, to which /v1/traces is appended. Empty: none. Unset: OTEL_EXPORTER_OTLP_ENDPOINT.',
      'http://127.0.0.1:4318',
    ),
    sample: setting(amount(0, 1), 1, 'The share of requests without a traceparent that are traced; with one, its sampled flag decides.'),
    maxPerSecond: setting(amount(0, 1e6), 1_000, 'The most of these requests that are traced in one second.'),
  }),
  otlpMetrics: setting(flag<never>(), false, 'Whether the metrics of /metrics are also sent to the OTLP endpoint, every minute.'),
});

const clientSchema = z
  .strictObject({
    name: text()
      .max(100, { error: 'must have at most 100 characters' })
      .meta({ description: 'The name of the client in logs, metrics and usage.', examples: ['web'] }),
    key: text()
      .meta({ description: 'The key that the client sends. Default: none; then keyHash is required.', examples: ['${WEB_KEY}'] })
      .optional(),
    keyHash: z
      .string({ error: 'must be sha256: and 64 hex digits' })
      .regex(/^sha256:[0-9a-fA-F]{64}$/, { error: 'must be sha256: and 64 hex digits' })
      .meta({
        description: 'Instead of key: `sha256:` and the SHA-256 of the key in hexadecimal. Default: none.',
        examples: [`sha256:${'0f'.repeat(32)}`],
      })
      .optional(),
    priority: word(...PRIORITIES)
      .describe('The default priority of its requests. Default: normal.')
      .optional(),
    maxPriority: word(...PRIORITIES)
      .describe('The highest priority that its requests may have. Default: its priority.')
      .optional(),
    models: z
      .array(text(), { error: 'must be a list of model names and patterns' })
      .meta({ description: 'The models that it may use; * matches anything. Default: all.', examples: [['fast', 'openai/*']] })
      .optional(),
    limits: limitsSchema.describe('Its own limits, over all models. Default: unlimited.').optional(),
    budget: z
      .strictObject({
        usd: amount(0, 1e9).meta({ description: 'US dollars per period.', examples: [20] }),
        per: word(...BUDGET_PERIODS).describe('The period, in UTC; a week begins on Monday.'),
        onExhausted: text()
          .meta({
            description: 'A cheaper target, provider/model, for requests that the budget has no room for. Default: they are refused.',
            examples: ['openai/gpt-4.1-nano'],
          })
          .optional(),
      })
      .describe('Its spending limit. Default: unlimited.')
      .optional(),
    sessionLimits: z
      .strictObject({
        requestsPerMinute: amount(0.001, 1e9)
          .meta({ description: 'Requests of one session per minute. Default: no limit.', examples: [60] })
          .optional(),
        tokens: amount(1, 1e12)
          .meta({ description: 'Input and output tokens of one session in total. Default: no limit.', examples: [2_000_000] })
          .optional(),
        usd: amount(0, 1e9)
          .meta({ description: 'US dollars of one session in total. Default: no limit.', examples: [5] })
          .optional(),
      })
      .describe('Limits of one session, a conversation or run of an agent, so that a loop ends. Default: none.')
      .optional(),
  })
  .meta({ id: 'Client', description: 'A client, with its key and rights.' });

const usdPerMillion = () => amount(0, 1e6);
const rates = {
  input: usdPerMillion().meta({ description: 'USD per million input tokens.', examples: [2.5] }),
  cachedInput: usdPerMillion()
    .meta({ description: 'USD per million input tokens read from a cache. Default: the price of input.', examples: [0.25] })
    .optional(),
  cacheWrite: usdPerMillion()
    .meta({ description: 'USD per million input tokens written to a cache. Default: the price of input.', examples: [3.125] })
    .optional(),
  cacheWrite1h: usdPerMillion()
    .meta({ description: 'USD per million input tokens written to a cache for an hour. Default: the price of cacheWrite.', examples: [5] })
    .optional(),
  audioInput: usdPerMillion()
    .meta({ description: 'USD per million input tokens of audio. Default: the price of input.', examples: [32] })
    .optional(),
  imageInput: usdPerMillion()
    .meta({ description: 'USD per million input tokens of images. Default: the price of input.', examples: [5] })
    .optional(),
  output: usdPerMillion()
    .meta({ description: 'USD per million output tokens, reasoning included. Default: 0.', examples: [10] })
    .optional(),
  audioOutput: usdPerMillion()
    .meta({ description: 'USD per million output tokens of audio. Default: the price of output.', examples: [64] })
    .optional(),
};
const above = z
  .array(
    z.strictObject({
      tokens: amount(1, 1e9)
        .refine((size) => (PROMPT_SIZES as readonly number[]).includes(size), { error: `must be one of ${PROMPT_SIZES.join(', ')}` })
        .meta({ description: 'A request whose prompt has more input tokens is charged these prices as a whole.', examples: [200_000] }),
      ...rates,
    }),
    { error: 'must be a list of prices' },
  )
  .meta({ description: 'Prices of long prompts. Default: none.', examples: [[{ tokens: 200_000, input: 5, output: 15 }]] })
  .optional();
const tierPrice = (tier: string) =>
  z
    .strictObject({ ...rates, above })
    .meta({ description: `Prices of the ${tier} tier. Default: the standard prices.`, examples: [{ input: 1.25, output: 5 }] })
    .optional();
const priceSchema = z
  .strictObject({ ...rates, above, batch: tierPrice('batch'), flex: tierPrice('flex'), priority: tierPrice('priority') })
  .meta({ id: 'Price', description: 'US dollars per million tokens.' });

export const configSchema = z
  .strictObject({
    $schema: z
      .string()
      .meta({
        description: 'The location of the JSON Schema, for editors. Default: none.',
        examples: ['./node_modules/breakwater/breakwater.schema.json'],
      })
      .optional(),
    server: serverSettings.schema.optional(),
    providers: z
      .record(z.string(), providerSchema, { error: 'must be an object of provider names' })
      .describe(
        'By name. The name of a known preset implies its base URL, protocol and authentication. Default: from the environment, without a config file.',
      )
      .optional(),
    models: z
      .record(z.string(), modelSchema, { error: 'must be an object of model names' })
      .describe(
        'By the name that clients request. A name with one * is a pattern; the matched text replaces * in the targets. Every provider/model can be requested without an entry. Default: none.',
      )
      .optional(),
    policy: policySettings.schema.optional(),
    clients: z
      .array(clientSchema, { error: 'must be a list of clients' })
      .max(10_000, { error: 'must have at most 10000 clients' })
      .describe('A list, or a map from name to settings. Default: none; then no key is required, and only loopback may be bound.')
      .optional(),
    prices: z
      .record(z.string(), priceSchema, { error: 'must be an object of targets' })
      .describe('By provider/model, or by model for every provider. They take precedence over the built-in table. Default: none.')
      .optional(),
    store: z
      .string({ error: 'must be memory:, sqlite:PATH or redis://HOST:PORT' })
      .regex(/^(memory:|sqlite:.+|(?:rediss?|valkeys?):\/\/.+)$/, { error: 'must be memory:, sqlite:PATH or redis://HOST:PORT' })
      .meta({
        description:
          'Where state is stored: memory:, sqlite:PATH (relative to the config), or redis://HOST:PORT for several instances that share their limits (rediss:// for TLS). Default: sqlite:./breakwater.db with a config file, else memory:.',
        examples: ['sqlite:./state/breakwater.db'],
      })
      .optional(),
    cluster: clusterSettings.schema.optional(),
    batch: batchSettings.schema.optional(),
    telemetry: telemetrySettings.schema.optional(),
  })
  .meta({ title: 'Breakwater', description: 'The configuration of Breakwater.' });

/** A config with parsed values (ms, bytes), before presets and defaults are applied. */
export type ParsedInput = z.output<typeof configSchema>;
export type ClientInput = z.output<typeof clientSchema>;
export type PriceInput = z.output<typeof priceSchema>;
