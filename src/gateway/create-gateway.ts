/** Builds a running gateway from a config, and applies a changed config without a restart. */
import type { Fleet } from '../cluster/fleet.ts';
import type { Clock } from '../core/clock.ts';
import type { BreakwaterError } from '../core/errors.ts';
import type { EventBus } from '../core/events.ts';
import { HeldBytes } from '../core/held-bytes.ts';
import { Pace } from '../core/pace.ts';
import { SlicedWork } from '../core/sliced-work.ts';
import type { Random } from '../core/random.ts';
import { SecretMask } from '../core/secrets/secret-mask.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { Scheduler } from '../policy/scheduler/scheduler.ts';
import { judge } from '../policy/verdict.ts';
import { ResponseCache } from '../pipeline/sharing/response-cache.ts';
import { Admission, type RouteApplicant } from '../pipeline/admission/admission.ts';
import { maskFailure } from '../pipeline/attempt/response-mask.ts';
import { serves } from '../pipeline/conversion/capability.ts';
import { confirmSuspicion } from '../pipeline/retry/credential-blame.ts';
import type { PipelineEngine } from '../pipeline/engine.ts';
import { emitBreakerChange } from '../pipeline/settle/settle-attempt.ts';
import { ConversationHistory } from './response-history.ts';
import { ResponseStore } from './response-store.ts';
import { speaks } from '../wire/conversion.ts';
import type { Dialect } from '../wire/dialect.ts';
import { rejectedEvent } from '../pipeline/request/received.ts';
import { holderOf, type GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ModelReply, ModelQuery } from '../pipeline/request/model-query.ts';
import { askModel } from '../pipeline/nested-request.ts';
import { runRequest } from '../pipeline/pipeline.ts';
import type { Route, RouteTarget, TargetState } from '../pipeline/route/route.ts';
import { RunningList } from '../pipeline/request/running-list.ts';
import { LargeConversions } from '../pipeline/conversion/large-conversions.ts';
import { StalledReaders } from '../pipeline/delivery/stalled-readers.ts';
import { SchemaCheck } from '../pipeline/quality/schema/schema-check.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import { PieceOrigins } from '../policy/opaque/piece-origins.ts';
import type { Store } from '../store/store.ts';
import type { Snapshot } from '../telemetry/snapshot.ts';
import { LocalTransport } from '../transport/local/local-transport.ts';
import { SigningTransport } from '../transport/signing-transport.ts';
import type { Transport } from '../transport/transport.ts';
import { createHttpTransport } from '../transport/http-transport.ts';
import { BodyCaptures } from './captured-bodies.ts';
import { limitsInUse, makeClients } from './client-limits.ts';
import { isBufferShared, originsOf } from './config-facts.ts';
import { longModelNameError, MODEL_LENGTH_MAX, refusalResponse, shuttingDownError, unknownModelError } from './gateway-errors.ts';
import type { Clients } from './clients.ts';
import { sharedAccounts, type Config } from './config/index.ts';
import type { Gateway, KnownClient, ModelEntry, QueueStatus, TargetStatus } from './gateway.ts';
import { createFleet, leaveFleet } from './create-fleet.ts';
import { createJobs } from './create-jobs.ts';
import { LoadedSecrets } from './identity/loaded-secrets.ts';
import { createSigners } from './identity/signers.ts';
import { KeyCheck } from './key-check.ts';
import { Money } from './money/money.ts';
import { LimitRegistry } from './limits.ts';
import { localModels } from './local-models.ts';
import { ProviderLists } from './model-lists.ts';
import { QualityChecks } from './quality-checks.ts';
import { FormerConfigs } from './former-configs.ts';
import { Routes } from './routes.ts';
import { persistMakers } from './saved-makers.ts';
import { saveAfterRecovery } from './save-after-recovery.ts';
import { SavedState } from './saved-state.ts';
import { schedulerOptions } from './scheduler-options.ts';
import { configuredLevels, queueStatus, snapshotOf, targetStatus } from './status.ts';
import { resetTargetState } from './reset-target-state.ts';
import { TargetRegistry } from './targets.ts';
import { createRequestTracer, type RequestTracer } from './trace-requests.ts';

export interface CreateGatewayOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly events: EventBus;
  /** Default: HTTP with the client of `server.httpClient`. */
  readonly transport?: Transport;
  /** Marks every response as simulated. */
  readonly simulated?: boolean;
  /** False: jobs of earlier processes continue only once one is created or changed here. Default: true. */
  readonly continuesJobs?: boolean;
  /** Environment variables, for the outbound proxy. Default: none. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const EXHAUSTION_WARNING_MS = 60_000; // the least time between two warnings about exhausted local resources

export async function createGateway(options: CreateGatewayOptions): Promise<Gateway> {
  const { clock, config, env = {} } = options;
  const http = options.transport ?? (await createHttpTransport({ clock, env, client: config.server.httpClient }));
  const gateway = new RunningGateway(options, http);
  try {
    await gateway.start(options.continuesJobs ?? true);
  } catch (error) {
    await gateway.release();
    throw error;
  }
  return gateway;
}

class RunningGateway implements Gateway {
  readonly clock: Clock;
  readonly events: EventBus;
  readonly slices: SlicedWork;
  readonly jobs: Jobs | null;
  readonly #random: Random;
  readonly store: Store;
  readonly responses: ResponseStore;
  readonly history: ConversationHistory;
  readonly #limits: LimitRegistry;
  readonly #targets: TargetRegistry;
  readonly #lists: ProviderLists;
  readonly #checks = new QualityChecks();
  readonly captures = new BodyCaptures(() => this.#config);
  readonly #saved: SavedState;
  readonly money: Money;
  readonly fleet: Fleet | null;
  readonly #scheduler: Scheduler<RouteTarget, RouteApplicant>;
  readonly #engine: PipelineEngine;
  readonly #keyCheck: KeyCheck;
  readonly #transport: LocalTransport;
  readonly tracer: RequestTracer;
  readonly former = new FormerConfigs(() => this.clock.now());
  #config: Config;
  #routes: Routes;
  #clients: Clients;
  readonly #held = new HeldBytes(
    () => this.#config.server.maxBufferedBytes,
    () => isBufferShared(this.#config),
  );
  readonly #loaded = new LoadedSecrets(() => (this.#engine.secrets = this.#loaded.maskWith(this.#config)));
  #draining = false;

  constructor(options: CreateGatewayOptions, http: Transport) {
    const { clock, random, store, events, config } = options;
    this.clock = clock;
    this.events = events;
    this.slices = new SlicedWork(clock);
    this.#random = random;
    this.store = store;
    this.#config = config;
    this.tracer = createRequestTracer(random, this.clock, () => this.#config);
    const transport = http instanceof LocalTransport ? http : new LocalTransport(new SigningTransport(http, clock), clock);
    this.#transport = transport;
    this.fleet = createFleet(store, clock, events, { engine: () => this.#engine, targets: () => this.#targets, gateway: this });
    this.#limits = new LimitRegistry(clock, this.fleet);
    const onTrouble = (message: string): void => this.#warn(message);
    transport.onTrouble = onTrouble;
    const signers = createSigners({ transport: http, clock, slices: this.slices, onSecret: this.#loaded.add, onTrouble });
    this.#targets = new TargetRegistry(clock, random, this.#limits, signers, this.fleet);
    this.#lists = new ProviderLists(transport, clock, this.#targets.credentials);
    this.#saved = new SavedState(store, clock, this.#limits, this.#targets);
    const mask = (text: string): string => this.secrets.text(text);
    this.money = new Money({ store, clock, events, config: () => this.#config, warn: onTrouble, mask, fleet: this.fleet });
    this.#scheduler = new Scheduler(schedulerOptions(config, random));
    const admission = new Admission(this.#scheduler, clock);
    this.#keyCheck = new KeyCheck(transport, clock, (state, found) => {
      const failure = maskFailure(found, this.#engine.secrets, null);
      confirmSuspicion(this.#engine, state, failure, judge(failure));
    });
    this.#engine = {
      clock,
      random,
      events,
      transport,
      admission,
      simulated: options.simulated ?? false,
      running: new RunningList(),
      conversions: new LargeConversions(),
      stalled: new StalledReaders(clock, (resource) => admission.isWaitedFor(resource)),
      held: this.#held,
      makers: new PieceOrigins(),
      schemas: new SchemaCheck(),
      slices: this.slices,
      exhaustion: new Pace(EXHAUSTION_WARNING_MS),
      secrets: new SecretMask(config.secrets),
      responses: new ResponseCache({ clock, room: this, store: store.responses, bytesMax: config.server.maxCacheBytes }),
      keyCheck: this.#keyCheck,
      flights: this.fleet?.flights ?? null,
      askModel: (question) => this.#askModel(question),
    };
    this.#routes = new Routes(config, this.#targets, this.#checks);
    this.#clients = makeClients(config, this.#limits, this.money.clients);
    const routeOf = (model: string): Route | null => this.#routes.find(model, '', this.#lists.known);
    this.responses = new ResponseStore(store, clock, { transport, routeOf });
    this.history = new ConversationHistory(this.responses, this.slices);
    this.jobs = createJobs({ gateway: this, random, transport, routeOf }, store, (name) => this.#clients.named(name));
  }

  async start(continuesJobs: boolean): Promise<void> {
    await this.#checks.load(this.#config);
    this.#transport.configure(localModels(this.#config));
    await this.#saved.load();
    await this.fleet?.start();
    await persistMakers(this.store, this.#engine.makers, this.clock.epochMs());
    this.#saved.start();
    await this.money.start();
    sharedAccounts(this.#config).forEach((message) => this.#warn(message));
    if (continuesJobs && this.store.kind !== 'memory') this.jobs?.start(); // memory does not survive the process
    saveAfterRecovery(this.store, this.events, this.clock, [() => this.#saved.writeAll(), () => this.#engine.makers.saveAll()]);
  }

  /** Closes everything that it was given or opened; also called after a failed start. */
  async release(): Promise<void> {
    this.#keyCheck.close();
    this.#targets.credentials.close();
    await leaveFleet(this.fleet, this.store, this.clock);
    await this.#engine.schemas.close();
    await this.#engine.conversions.close();
    await this.#transport.close();
    await this.store.close();
  }

  get config(): Config {
    return this.#config;
  }

  get secrets(): SecretMask {
    return this.#engine.secrets;
  }

  authenticate(credential: string | null): KnownClient | null {
    return this.#clients.authenticate(credential);
  }

  handle(request: GatewayRequest, sink: ResponseSink): Promise<void> {
    if (this.#draining) return this.#refuse(request, sink, shuttingDownError());
    const { model } = request.facts;
    if (model.length > MODEL_LENGTH_MAX) return this.#refuse(request, sink, longModelNameError());
    const holder = holderOf(request.client);
    const route = this.#routes.find(model, holder, this.#lists.known);
    return route === null ? this.#handleListed(request, sink, holder) : this.#run(request, sink, route, holder);
  }

  async #handleListed(request: GatewayRequest, sink: ResponseSink, holder: string): Promise<void> {
    const route = await this.#findListed(request.facts.model, holder);
    // State may have changed while the model lists were fetched.
    if (this.#draining) return this.#refuse(request, sink, shuttingDownError());
    if (request.caller.hasLeft) return sink.abort();
    if (route === null) return this.#refuse(request, sink, unknownModelError(request.facts.model));
    return this.#run(request, sink, route, holder);
  }

  #run(request: GatewayRequest, sink: ResponseSink, route: Route, holder: string): Promise<void> {
    // Where clients are configured, the caller's credential is a Breakwater key and must never reach a provider.
    const own = this.tracer.trace(request, this.#config.clients.length > 0 ? null : request.callerCredential);
    const refused = this.money.refusal(own);
    if (refused !== null) return this.#refuse(own, sink, refused);
    const allowed = this.money.routeFor(route, own.client, (name) => this.#routes.find(name, holder));
    return runRequest(this.#engine, own, allowed, this.captures.begin(own, sink)).then(this.#engine.running.notifyIdle);
  }

  async models(client: KnownClient): Promise<readonly ModelEntry[]> {
    const configured = Object.keys(this.#config.models);
    // With configured models the providers' lists are not waited for; they are included once they are known.
    if (configured.length === 0) await this.#lists.refresh(this.#config);
    const entries = configured.filter((name) => !name.includes('*')).map((id) => ({ id, ownedBy: 'breakwater' }));
    for (const [ownedBy, list] of this.#lists.known) for (const model of list) entries.push({ id: `${ownedBy}/${model}`, ownedBy });
    return entries.filter((entry) => client.mayUse(entry.id));
  }

  async countsTokens(model: string, holder: string, dialect: Dialect, path: string): Promise<boolean> {
    if (model.length > MODEL_LENGTH_MAX) return false;
    const route = this.#routes.find(model, holder, this.#lists.known) ?? (await this.#findListed(model, holder));
    return route !== null && route.tiers.some((tier) => tier.some(({ state }) => speaks(dialect, state) && serves(state, 'bytes', path)));
  }

  isListed(model: string): boolean {
    return this.#config.models[model] !== undefined || this.#lists.names(model);
  }

  async findModel(client: Pick<KnownClient, 'mayUse'>, name: string): Promise<ModelEntry | null> {
    return client.mayUse(name) ? this.#lists.find(this.#config, name) : null;
  }

  hasModel(name: string): Promise<boolean | null> {
    return this.#lists.has(this.#config, name);
  }

  tryHoldBytes(bytes: number, holder?: string, reserve = 0, own = 0): boolean {
    return holder === undefined ? this.#held.tryHold(bytes) : this.#held.of(holder).tryHold(bytes, reserve, own) === 'held';
  }

  holdBytes(bytes: number, holder: string): void {
    this.#held.count(holder, bytes);
  }

  releaseBytes(bytes: number, holder?: string): void {
    if (holder === undefined) this.#held.release(bytes);
    else this.#held.count(holder, -bytes);
  }

  isOverByteShare(holder: string): boolean {
    return this.#held.isOverShare(holder);
  }

  targets(): readonly TargetStatus[] {
    const engines = new Map(this.#transport.status().map((engine) => [engine.name, engine]));
    return this.#targets.all().map((state) => targetStatus(state, engines.get(state.name), this.clock.now()));
  }

  queue(): QueueStatus {
    return queueStatus(this.#scheduler, this.#engine, this.#held.total);
  }

  snapshot(): Snapshot {
    const engines = this.#transport.status().filter(({ state }) => state !== 'idle'); // those never used have no memory to report
    const levels = [...this.money.clients.levels(), ...configuredLevels(this.#limits, this.clock.now())];
    return snapshotOf(this.#scheduler, this.#engine, levels, this.#targets, engines, this.#held.total, this.fleet);
  }

  isolate(target: string): boolean {
    return this.#change(target, (state) => state.breaker.isolate());
  }

  reset(target: string): boolean {
    return this.#change(target, resetTargetState);
  }

  async reload(next: Config): Promise<void> {
    // Everything is built before anything is replaced: an error leaves the old config in effect.
    await this.#checks.load(next);
    const routes = new Routes(next, this.#targets, this.#checks);
    const clients = makeClients(next, this.#limits, this.money.clients);
    this.former.add(this.#config, next);
    [this.#config, this.#routes, this.#clients] = [next, routes, clients];
    this.#engine.secrets = this.#loaded.maskWith(next);
    this.#targets.forgetOthers(next);
    this.#transport.configure(localModels(next));
    this.#transport.keepOnly(originsOf(next));
    this.money.clients.showOnly(next.clients);
    this.#limits.showOnly(limitsInUse(next, this.#limits, this.#targets.all()));
    this.#scheduler.configure(schedulerOptions(next, this.#random));
    this.#lists.forget();
    this.#engine.responses.resize(next.server.maxCacheBytes);
    this.#engine.admission.pump();
    this.events.emit({ type: 'lifecycle', at: this.clock.now(), state: 'reloaded' });
    sharedAccounts(this.#config).forEach((message) => this.#warn(message));
    await this.money.reloaded();
  }

  #warn(message: string): void {
    this.events.emit({ type: 'warning', at: this.clock.now(), message: this.secrets.text(message) });
  }

  async drain(): Promise<void> {
    if (!this.#draining) this.events.emit({ type: 'lifecycle', at: this.clock.now(), state: 'draining' });
    this.#draining = true;
    await Promise.all([this.jobs?.stop(), this.#engine.running.idle()]);
  }

  async close(): Promise<void> {
    this.#draining = true;
    void this.jobs?.stop();
    for (const run of this.#engine.running.all()) run.stop(shuttingDownError());
    await this.#engine.running.idle();
    await this.jobs?.close();
    this.#saved.stop();
    this.money.stop();
    await this.release();
    this.events.emit({ type: 'lifecycle', at: this.clock.now(), state: 'stopped' });
  }

  async #askModel(question: ModelQuery): Promise<ModelReply> {
    const reply = await askModel(this.#engine, this.#routes.find(question.model, '', this.#lists.known), question);
    this.#engine.running.notifyIdle(); // it may have been the last running request
    return reply;
  }

  /** Looks for an unknown name in the providers' own lists, which are fetched first. */
  async #findListed(name: string, holder: string): Promise<Route | null> {
    await this.#lists.refresh(this.#config);
    return this.#routes.find(name, holder, this.#lists.known);
  }

  async #refuse(request: GatewayRequest, sink: ResponseSink, error: BreakwaterError): Promise<void> {
    const { id, method, path, dialect, facts, client, program = null, trace } = this.tracer.trace(request, null);
    const asked = { method, path: `/v1${path}`, protocol: dialect.protocol, operation: facts.operation, model: facts.model };
    const hadModel = error.code === 'model_not_found' && this.former.hadModel(facts.model) && { hadModel: true as const };
    this.events.emit(rejectedEvent(id, this.clock.now(), error, { ...asked, client: client.name, ...hadModel, trace }));
    const { status, headers, body } = refusalResponse(this.#config, dialect.error, error, id, program);
    sink.head(status, this.#engine.simulated ? [...headers, 'x-breakwater-simulated', 'true'] : headers);
    sink.end(body);
  }

  #change(target: string, change: (state: TargetState) => void): boolean {
    const states = this.#targets.named(target);
    for (const state of states) {
      change(state);
      emitBreakerChange(this.#engine, state);
    }
    this.fleet?.health.changed();
    this.#engine.admission.pump(true);
    return states.length > 0;
  }
}
