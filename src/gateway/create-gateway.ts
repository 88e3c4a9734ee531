/** Config in, running gateway out: makes every part, and puts a changed config in their place without a stop. */
import type { Clock } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import type { EventBus } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import { Scheduler } from '../policy/scheduler/scheduler.ts';
import type { SchedulerOptions } from '../policy/scheduler/scheduler.ts';
import { chooseByAffinity, chooseByWeight } from '../policy/selection/selection.ts';
import { Admission } from '../pipeline/admit.ts';
import type { RouteApplicant } from '../pipeline/admit.ts';
import type { Engine } from '../pipeline/engine.ts';
import { errorAnswer } from '../pipeline/error-answer.ts';
import type { GatewayRequest } from '../pipeline/gateway-request.ts';
import { runRequest } from '../pipeline/pipeline.ts';
import type { Route, RouteTarget } from '../pipeline/route.ts';
import type { AnswerSink } from '../pipeline/sink.ts';
import type { Store } from '../store/store.ts';
import type { Transport } from '../transport/transport.ts';
import { createUndiciTransport } from '../transport/undici-transport.ts';
import { createClients } from './clients.ts';
import type { Clients } from './clients.ts';
import type { Config } from './config/index.ts';
import type { Gateway, KnownClient, ModelEntry } from './gateway.ts';
import { LimitRegistry } from './limits.ts';
import { ProviderLists } from './model-lists.ts';
import { Routes } from './routes.ts';
import { SavedState } from './saved-state.ts';
import { queueStatus, snapshotOf, targetStatus } from './status.ts';
import { TargetRegistry } from './targets.ts';

export interface CreateGatewayOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly events: EventBus;
  /** Default: HTTP over undici. */
  readonly transport?: Transport;
  /** Every answer says that it is simulated. */
  readonly simulated?: boolean;
  /** For the outbound proxy; default: none. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** How long a caller that came while draining should wait for another instance, in milliseconds. */
const DRAINING_RETRY_MS = 1_000;

export async function createGateway(options: CreateGatewayOptions): Promise<Gateway> {
  const { clock, random, store, events } = options;
  const transport = options.transport ?? createUndiciTransport({ env: options.env ?? {} });
  const limits = new LimitRegistry(clock);
  const targets = new TargetRegistry(clock, random, limits);
  const lists = new ProviderLists(transport, clock);
  const saved = new SavedState(store, clock, limits, targets);
  const scheduler = new Scheduler<RouteTarget, RouteApplicant>(schedulerOptions(options.config, random));
  const admission = new Admission(scheduler, clock);
  const engine: Engine = { clock, random, events, transport, admission, simulated: options.simulated ?? false, running: new Set() };

  let config = options.config;
  let routes = new Routes(config, targets);
  let clients = makeClients(config, limits);
  let heldBytes = 0;
  let draining = false;
  let whenIdle: (() => void) | null = null;

  await saved.load();
  saved.start();

  async function findRoute(name: string): Promise<Route | null> {
    const route = routes.find(name, lists.known);
    if (route !== null) return route;
    await lists.refresh(config);
    return routes.find(name, lists.known);
  }

  function refuse(request: GatewayRequest, sink: AnswerSink, error: BreakwaterError): void {
    const answer = errorAnswer(request.protocol, error, request.id);
    sink.head(answer.status, engine.simulated ? [...answer.headers, 'x-breakwater-simulated', 'true'] : answer.headers);
    sink.end(answer.body);
  }

  async function handle(request: GatewayRequest, sink: AnswerSink): Promise<void> {
    if (draining) return refuse(request, sink, shuttingDown());
    const { model } = request.facts;
    const route = routes.find(model, lists.known) ?? (await findRoute(model));
    if (route === null) {
      const message = `there is no model ${JSON.stringify(model.slice(0, 200))} here: configure it under models, or ask for PROVIDER/MODEL`;
      return refuse(request, sink, new BreakwaterError('model_not_found', message, { param: 'model' }));
    }
    // Where clients have keys of ours, the caller's credential is one of them: it must never reach a provider.
    const own = config.clients.length > 0 ? { ...request, callerCredential: null } : request;
    await runRequest(engine, own, route, sink);
    if (engine.running.size === 0) whenIdle?.();
  }

  function models(client: KnownClient): ModelEntry[] {
    const entries: ModelEntry[] = [];
    for (const name of Object.keys(config.models)) {
      if (!name.includes('*') && client.mayUse(name)) entries.push({ id: name, ownedBy: 'breakwater' });
    }
    for (const [provider, list] of lists.known) {
      for (const model of list) {
        const id = `${provider}/${model}`;
        if (client.mayUse(id)) entries.push({ id, ownedBy: provider });
      }
    }
    return entries;
  }

  return {
    get config() {
      return config;
    },
    clock,
    events,
    authenticate: (credential) => clients.authenticate(credential),
    handle,
    async models(client) {
      // With a list of our own nobody has to wait for the providers' lists; they stand in it once they are known.
      if (Object.keys(config.models).length === 0) await lists.refresh(config);
      return models(client);
    },
    tryHoldBytes(bytes) {
      if (heldBytes + bytes > config.server.maxBufferedBytes) return false;
      heldBytes += bytes;
      return true;
    },
    releaseBytes(bytes) {
      heldBytes -= bytes;
    },
    targets: () => targets.all().map((state) => targetStatus(state, clock.now())),
    queue: () => queueStatus(scheduler, engine, heldBytes),
    snapshot: () => snapshotOf(scheduler, engine, limits, targets, heldBytes),
    isolate: (name) => {
      const states = targets.named(name);
      for (const state of states) state.breaker.isolate();
      admission.pump();
      return states.length > 0;
    },
    reset: (name) => {
      const states = targets.named(name);
      for (const state of states) {
        state.breaker.reset();
        state.cooldown.reset();
        state.credential.bench.reset();
        state.health.reset();
      }
      admission.pump();
      return states.length > 0;
    },
    async reload(next) {
      // Made whole before anything is replaced: a fault leaves the old one serving.
      const nextRoutes = new Routes(next, targets);
      const nextClients = makeClients(next, limits);
      [config, routes, clients] = [next, nextRoutes, nextClients];
      scheduler.configure(schedulerOptions(next, random));
      lists.forget();
      admission.pump();
      events.emit({ type: 'lifecycle', at: clock.now(), state: 'reloaded' });
    },
    drain() {
      if (!draining) events.emit({ type: 'lifecycle', at: clock.now(), state: 'draining' });
      draining = true;
      if (engine.running.size === 0) return Promise.resolve();
      return new Promise((resolve) => (whenIdle = resolve));
    },
    async close() {
      draining = true;
      for (const run of engine.running) run.stop(shuttingDown());
      admission.close();
      saved.stop();
      await transport.close();
      await store.close();
      events.emit({ type: 'lifecycle', at: clock.now(), state: 'stopped' });
    },
  };
}

function makeClients(config: Config, limits: LimitRegistry): Clients {
  return createClients(config, (client) => limits.make(`client ${client.name}`, client.limits, 'client'));
}

function shuttingDown(): BreakwaterError {
  return new BreakwaterError('shutting_down', 'this instance is shutting down; retry', { retryAfterMs: DRAINING_RETRY_MS });
}

function schedulerOptions(config: Config, random: Random): SchedulerOptions<RouteTarget, RouteApplicant> {
  const { queue } = config.policy;
  return {
    queueLengthMax: queue.maxSize,
    minShare: { low: queue.minShare.low, normal: queue.minShare.normal },
    choose: (startable, applicant) =>
      applicant.affinityKey === null ? chooseByWeight(startable, random) : chooseByAffinity(startable, applicant.affinityKey),
  };
}
