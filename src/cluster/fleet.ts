/** This instance as a member of a fleet that shares a store: leases of shared limits, the health of targets, and what is learned of them. */
import type { Clock, Instant } from '../core/clock.ts';
import type { Leasable } from '../core/lease.ts';
import type { FlightStore } from '../store/flight-store.ts';
import type { SharedFault, SharedStore } from '../store/shared-store.ts';
import { FleetSurvey, type FleetFigures, type InstanceFigures } from './fleet-survey.ts';
import { Flights } from './flights.ts';
import { LeaseAgent, type FleetStatus } from './lease-agent.ts';
import { SettingsAgreement, type SettingsAgreementOptions } from './settings-agreement.ts';
import { SharedHealth, type HealthSubject } from './shared-health.ts';
import { SharedLearning, type LearningSubject } from './shared-learning.ts';

export interface FleetOptions {
  readonly clock: Clock;
  readonly shared: SharedStore;
  /** Absent: responses in flight are not shared. */
  readonly flights?: FlightStore | undefined;
  readonly subjects: () => Iterable<HealthSubject & LearningSubject>;
  /** Queued requests may be able to start. */
  readonly onGranted: () => void;
  /** Target health was adopted from another instance. */
  readonly onAdopted: () => void;
  readonly onFleet: (status: FleetStatus) => void;
  /** Another instance has changed what there is to run of the jobs in the store. */
  readonly onJobs: () => void;
  /** As of `LeaseAgentOptions`. */
  readonly expectedInstances: () => number;
  /** Absent: they are not compared. */
  readonly settings?: Pick<SettingsAgreementOptions, 'name' | 'own' | 'onDiffer' | 'onAgree'>;
  /** Of this instance, for operators. */
  readonly figures: () => InstanceFigures;
}

/** The fleet as operators see it. */
export interface FleetView extends FleetStatus {
  /** Why it is not linked, or why members can not exchange messages; null: neither. */
  readonly fault: SharedFault | null;
  /** What all instances do together; resolves within 200 ms. */
  survey(): Promise<FleetFigures>;
  /** In which settings this instance differs from others; null: in none, or for less than 30 s. */
  readonly differences: string | null;
}

export class Fleet implements FleetView {
  readonly health: SharedHealth;
  readonly learning: SharedLearning;
  readonly #shared: SharedStore;
  readonly #agent: LeaseAgent;
  readonly #onJobs: () => void;
  readonly #onFleet: (status: FleetStatus) => void;
  readonly #survey: FleetSurvey;
  readonly #settings: SettingsAgreement | null;
  /** How many instances there are, as far as is known, this one included. */
  instances: number;
  /** Null: they are not shared. */
  readonly flights: Flights | null;

  constructor({
    clock,
    shared,
    flights,
    subjects,
    onGranted,
    onAdopted,
    onFleet,
    onJobs,
    expectedInstances,
    settings,
    figures,
  }: FleetOptions) {
    this.#shared = shared;
    this.#onJobs = onJobs;
    this.#onFleet = onFleet;
    let isLinked = false;
    const onMembers = (status: FleetStatus): void => {
      this.flights?.keepOnly(status.members);
      const isNew = status.isLinked && !isLinked;
      if (isNew) {
        this.health.linked();
        this.learning.linked();
      }
      isLinked = status.isLinked;
      this.instances = isLinked ? Math.max(1, status.members.length) : status.shares;
      onFleet(status);
      if (isLinked) this.#settings?.update(isNew);
    };
    this.#agent = new LeaseAgent({ clock, shared, onGranted, onFleet: onMembers, expectedInstances });
    this.instances = this.#agent.status.shares;
    const publish = (text: string): void => shared.publish(text);
    this.#survey = new FleetSurvey({ clock, publish, status: () => this.status, own: figures });
    this.#settings = settings === undefined ? null : new SettingsAgreement({ ...settings, clock, publish, status: () => this.status });
    const member = (): string | null => (this.#agent.status.isLinked ? shared.member : null);
    this.flights = flights === undefined ? null : new Flights({ clock, store: flights, publish, member, members: () => this.members });
    this.health = new SharedHealth({ clock, subjects, publish, onAdopted, fleet: () => this.#agent.status });
    this.learning = new SharedLearning({ clock, subjects, publish, onOpened: onGranted, fleet: () => this.#agent.status });
  }

  get member(): string | null {
    return this.#agent.status.member;
  }

  get members(): readonly string[] {
    return this.#agent.status.members;
  }

  get isLinked(): boolean {
    return this.#agent.status.isLinked;
  }

  get fault(): SharedFault | null {
    return this.#shared.fault ?? null;
  }

  get shares(): number {
    return this.#agent.status.shares;
  }

  get status(): FleetStatus {
    return this.#agent.status;
  }

  get differences(): string | null {
    return this.#settings?.differences ?? null;
  }

  /** This instance has another config. */
  reloaded(): void {
    this.#settings?.update();
  }

  hasLimitNews(): void {
    this.learning.hasLimitNews();
  }

  survey(): Promise<FleetFigures> {
    return this.#survey.ask();
  }

  get exchanges(): number {
    return this.#agent.exchanges;
  }

  /** Resolves when this instance has its first leases, or when the store turns out to be unreachable. */
  start(): Promise<void> {
    const started = this.#agent.start();
    this.#shared.open({
      linked: (isLinked) => this.#agent.linked(isLinked),
      message: (text) => this.#receive(text),
    });
    return started.then(() => {
      // Its share is larger than operators may expect: no other instance is known.
      if (!this.isLinked) this.#onFleet(this.status);
    });
  }

  add(lease: Leasable): void {
    this.#agent.add(lease);
  }

  remove(id: string): void {
    this.#agent.remove(id);
  }

  short(id: string): void {
    this.#agent.short(id);
  }

  isCurrent(now: Instant): boolean {
    return this.#agent.isCurrent(now);
  }

  async leave(): Promise<void> {
    this.health.stop();
    this.learning.stop();
    this.#settings?.stop();
    await this.flights?.close();
    return this.#agent.leave();
  }

  /** A message that can't be read, as of another version, is ignored. */
  #receive(text: string): void {
    try {
      this.#take(text);
    } catch {
      // The sender does not depend on it.
    }
  }

  #take(text: string): void {
    const [kind, ...lines] = text.split('\n');
    if (kind === 'call') this.#agent.called(lines);
    else if (kind === 'health') this.health.take(lines.join('\n'));
    else if (kind === 'learned') this.learning.take(lines.join('\n'));
    else if (kind === 'jobs') this.#onJobs();
    else if (kind === 'settings') this.#settings?.take(lines);
    else if (kind === 'survey') this.#survey.take(lines);
    else if (kind === 'flight') this.flights?.take(lines);
  }
}
