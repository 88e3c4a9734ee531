/** `breakwater serve`: starts a gateway from the command line and shuts it down gracefully. */
import { EventBus } from '../core/events.ts';
import { within } from '../core/within.ts';
import { detailText } from '../core/detail-text.ts';
import { maskUrls, restartSettings, type Config } from '../gateway/config/index.ts';
import { createGateway } from '../gateway/create-gateway.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { otlpOptions } from '../gateway/otlp-options.ts';
import { CheckFault } from '../gateway/quality-checks.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { systemRandom } from '../gateway/system-random.ts';
import { version } from '../gateway/version.ts';
import { startServer, type Server } from '../server/server.ts';
import { TlsFault } from '../server/tls-files.ts';
import { openStore } from '../store/open-store.ts';
import { createTelemetry, type Telemetry } from '../telemetry/telemetry.ts';
import { collectGarbage, residentBytes } from './collect-garbage.ts';
import { OperatorError } from './fail.ts';
import { createGatewaySources } from './gateway-sources.ts';
import { announceGeneratedKey } from './generated-key.ts';
import { findConfig, readConfigFile, type ConfigOptions, type FoundConfig } from './find-config.ts';
import { setHeapFlags } from './heap-flags.ts';
import { releaseWhenIdle } from './idle-memory.ts';
import { listenFault } from './listen-fault.ts';
import type { OnSignals } from './signals.ts';
import { watchFile } from './watch-file.ts';

/** Until the threads of the start have loaded their modules, in milliseconds. */
const HEAP_FLAGS_MS = 500;
/** For closing the gateway after a start that fails, in milliseconds. */
const CLOSE_MS = 2_000;

export interface ServeOptions extends ConfigOptions {
  readonly demo: boolean;
}

export async function serve(options: ServeOptions, onSignals: OnSignals): Promise<void> {
  const source = await findConfig(options);
  const isDemo = options.demo && hasNoProvider(source.config);
  if (hasNoProvider(source.config) && !isDemo) throw new OperatorError(remedies(source));
  const demo = isDemo ? await import('./demo.ts') : null;
  const simulation = (await demo?.startDemo(source.config)) ?? null;
  const config = simulation?.config ?? source.config;

  const running = await start(config, source, options, isDemo);
  const { server, telemetry, gateway } = running;
  const stopWatching = watchFiles(running, isDemo ? null : source.file);
  let requests = 0;
  gateway.events.on('received', () => void requests++);
  const flagsTimer = systemClock.schedule(HEAP_FLAGS_MS, setHeapFlags);
  const stopReleasing = releaseWhenIdle({
    clock: systemClock,
    isBusy: () => gateway.snapshot().inFlight > 0,
    requests: () => requests,
    residentBytes,
    collect: collectGarbage,
  });
  onSignals(
    {
      async stop() {
        for (const stop of stopWatching) stop();
        flagsTimer.cancel();
        stopReleasing();
        await server.drain();
        await simulation?.close();
        await telemetry.close();
      },
      drainTimeoutMs: () => gateway.config.server.drainTimeout,
      hangUp() {
        telemetry.reopen();
        server.reloadTls();
        if (source.file !== null && !isDemo) running.reload().catch(() => {});
      },
      onCrash(error) {
        telemetry.log.error({ error: error instanceof Error ? error.stack : String(error) }, 'crashed');
        return telemetry.flush();
      },
    },
    systemClock,
  );

  process.stderr.write(announceGeneratedKey(config, process.env) ?? '');
  if (demo !== null) process.stderr.write(demo.demoNotice(server.url, config.clients.length > 0));
  // A reader that waits for this line may close the pipe after it.
  process.stdout.on('error', () => {});
  process.stdout.write(`listening on ${server.url}\n`);
  gateway.events.emit({
    type: 'lifecycle',
    at: systemClock.now(),
    state: 'started',
    detail: server.url,
    facts: factsOf(source, config, isDemo),
  });
  logSource(source, telemetry);
}

/** Reloads the config and the certificate when their files change; `file`: the config, null without one. */
function watchFiles(running: Running, file: string | null): (() => void)[] {
  const { cert, key } = running.gateway.config.server.tls;
  const tlsFiles = [cert, key].filter((path) => path !== '');
  return [
    ...(file === null ? [] : [watchFile(file, systemClock, () => void running.reload().catch(() => {}))]),
    ...tlsFiles.map((path) => watchFile(path, systemClock, () => running.server.reloadTls())),
  ];
}

/** Startup facts that operators need in the log. */
function factsOf({ file }: FoundConfig, config: Config, isDemo: boolean): Record<string, string> {
  const { env } = process;
  const proxy = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? env['http_proxy'] ?? env['HTTP_PROXY'] ?? '';
  return {
    version: version(),
    config: isDemo ? 'demo' : (file ?? 'environment'),
    store: maskUrls(storeUrl(config)),
    ...(proxy !== '' && { proxy: maskUrls(proxy) }),
  };
}

interface Running {
  readonly server: Server;
  readonly gateway: Gateway;
  readonly telemetry: Telemetry;
  /** Reads the file again; rejects if it is invalid, after logging the fault. */
  reload(): Promise<void>;
}

async function start(config: Config, source: FoundConfig, options: ConfigOptions, simulated: boolean): Promise<Running> {
  const sources = createGatewaySources(config, simulated);
  const events = new EventBus((error, type) => telemetry.log.error({ error: String(error), event: type }, 'a listener failed'));
  const telemetry = createTelemetry({
    logs: config.telemetry.logs,
    requests: config.telemetry.requests,
    clock: systemClock,
    secrets: config.secrets,
    ...sources.telemetry,
    ...otlpOptions(config, sources.configNow),
  });
  telemetry.attach(events);
  const store = await openStore(storeUrl(config), {
    clock: systemClock,
    onWarning: (message, detail) => events.emit({ type: 'warning', at: systemClock.now(), message, detail: detailText(detail) }),
  });
  const gateway = await createGateway({
    config,
    clock: systemClock,
    random: systemRandom,
    store,
    events,
    simulated,
    env: process.env,
  }).catch((error: unknown) => {
    throw error instanceof CheckFault ? new OperatorError([error.message]) : error;
  });
  sources.attach(gateway);
  const reload = (): Promise<void> => reloadFrom(source.file!, options, gateway, telemetry);
  try {
    const server = await startServer({
      gateway,
      clock: systemClock,
      random: systemRandom,
      timelines: telemetry.timelines,
      feed: telemetry.feed,
      scrape: async () => ({ contentType: telemetry.metrics.contentType, body: await telemetry.metrics.scrape() }),
      simulated,
      ...(source.file !== null && !simulated && { reload }),
    });
    return { server, gateway, telemetry, reload };
  } catch (error) {
    // Leaves the fleet, which would otherwise miss its share for a time.
    await within(systemClock, CLOSE_MS, gateway.close());
    if (error instanceof TlsFault) throw new OperatorError([error.message]);
    const { socket, host, port } = config.server;
    throw socket === '' ? listenFault(error, `${host}:${port}`, 'server.port') : listenFault(error, socket, 'server.socket');
  }
}

/** Atomic: an invalid file leaves the current config in place. */
async function reloadFrom(file: string, options: ConfigOptions, gateway: Gateway, telemetry: Telemetry): Promise<void> {
  const before = gateway.config;
  try {
    const next = await readConfigFile(file, options);
    if (hasNoProvider(next)) throw new OperatorError([`${file}: providers: none left`]);
    await gateway.reload(next);
    telemetry.update({ level: next.telemetry.logs.level, secrets: next.secrets });
    for (const key of restartSettings(before, next)) telemetry.log.warn(`${key} takes effect at the next start`);
  } catch (error) {
    const detail = error instanceof Error ? error.message.replaceAll('\n', '; ') : String(error);
    gateway.events.emit({ type: 'lifecycle', at: systemClock.now(), state: 'reload_failed', detail });
    throw error;
  }
}

function hasNoProvider(config: Config): boolean {
  return Object.keys(config.providers).length === 0;
}

function storeUrl({ store }: Config): string {
  if (store.kind === 'memory') return 'memory:';
  return store.kind === 'sqlite' ? `sqlite:${store.path}` : store.url;
}

function remedies({ file, skipped }: FoundConfig): string[] {
  return [
    file === null ? 'no provider is configured' : `${file}: providers: none configured`,
    ...skipped.map(({ name, from, why }) => `${from} is set, but ${name} is ${why}`),
    'set a key such as OPENAI_API_KEY, or write breakwater.yaml with providers, or start with --demo for simulated ones',
  ];
}

function logSource({ found, skipped }: FoundConfig, { log }: Telemetry): void {
  for (const { name, from } of found) log.info({ provider: name, from }, 'provider found in the environment');
  for (const { name, from, why } of skipped) log.warn({ provider: name, from }, `provider skipped: ${why}`);
}
