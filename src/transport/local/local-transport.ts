/** Routes requests for local models to their engines, and all others to HTTP. */
import type { Clock } from '../../core/clock.ts';
import { wholeBody } from '../transport.ts';
import type { Transport, UpstreamCall, UpstreamListener, UpstreamRequest } from '../transport.ts';
import type { EngineSpec } from '../../local/engine.ts';
import { LocalCall } from './local-call.ts';
import { LocalEngine } from './local-engine.ts';
import type { EngineStatus } from './local-engine.ts';

const SCHEME = 'local://';

/** The origin of a local provider. */
export function localOrigin(provider: string): string {
  return SCHEME + provider;
}

/** The path prefix of calls to one model. */
export function localBasePath(model: string): string {
  return `/${encodeURIComponent(model)}`;
}

export interface LocalModel {
  readonly spec: EngineSpec;
  /** Load at start instead of with the first call. */
  readonly warm: boolean;
}

export class LocalTransport implements Transport {
  readonly #http: Transport;
  readonly #clock: Clock;
  readonly #workerUrl: URL | undefined;
  /** Called with a message for the operator when a thread crashed or failed to load its model. */
  onTrouble: ((message: string) => void) | null = null;
  readonly #engines = new Map<string, { settings: string; engine: LocalEngine }>();
  /** By name: engines that the config has removed or changed, until they have closed. */
  readonly #retiring = new Map<string, { engine: LocalEngine; gone: Promise<void> }>();

  constructor(http: Transport, clock: Clock, workerUrl?: URL) {
    this.#http = http;
    this.#clock = clock;
    this.#workerUrl = workerUrl;
  }

  /** Replaces the set of models. An engine with equal settings is kept; others finish their calls first. */
  configure(models: readonly LocalModel[]): void {
    const wanted = new Map(models.map((model) => [model.spec.name, model]));
    for (const [name, { settings }] of this.#engines) {
      const model = wanted.get(name);
      if (model === undefined || JSON.stringify(model.spec) !== settings) this.#retire(name);
    }
    for (const [name, { spec, warm }] of wanted) {
      let known = this.#engines.get(name);
      if (known === undefined) {
        const before = this.#retiring.get(name)?.gone ?? null;
        const engine = new LocalEngine(spec, this.#clock, (message) => this.onTrouble?.(message), before, this.#workerUrl);
        this.#engines.set(name, (known = { settings: JSON.stringify(spec), engine }));
      }
      if (warm) known.engine.warm();
    }
  }

  status(): EngineStatus[] {
    return [...this.#engines.values()].map(({ engine }) => engine.status());
  }

  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall {
    if (!request.origin.startsWith(SCHEME)) return this.#http.send(request, listener);
    const [, model = '', ...rest] = request.path.split('/');
    const name = `${request.origin.slice(SCHEME.length)}/${decodeURIComponent(model)}`;
    const known = this.#engines.get(name);
    if (known !== undefined) return known.engine.send(`/${rest.join('/')}`, wholeBody(request), listener);
    return refuse(name, listener);
  }

  keepOnly(origins: ReadonlySet<string>): void {
    this.#http.keepOnly?.(origins);
  }

  async close(): Promise<void> {
    const engines = [...this.#engines.values(), ...this.#retiring.values()].map(({ engine }) => engine);
    this.#engines.clear();
    await Promise.all([this.#http.close(), ...engines.map((engine) => engine.close())]);
  }

  #retire(name: string): void {
    const { engine } = this.#engines.get(name)!;
    this.#engines.delete(name);
    const last = this.#retiring.get(name)?.gone;
    const gone = Promise.all([last, engine.retire()]).then(() => {
      if (this.#retiring.get(name)?.engine === engine) this.#retiring.delete(name);
    });
    this.#retiring.set(name, { engine, gone });
  }
}

function refuse(name: string, listener: UpstreamListener): UpstreamCall {
  const call = new LocalCall(0, '', null, listener, () => {});
  queueMicrotask(() => {
    if (call.isOver) return;
    listener.onSent();
    call.fail(
      {
        status: 404,
        code: 'model_not_found',
        message: `unknown local model ${name}: add it under models of its provider`,
        detail: null,
      },
      null,
    );
  });
  return call;
}
