/** A config under construction: providers, routes, and what could not be carried over. */
import { stringify } from 'yaml';
import { isRecord } from '../../core/json.ts';
import { isPresetName, presets } from '../../gateway/config/presets.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** A provider as written to the config, without its models. */
export interface DraftProvider {
  /** The preferred name, which is also the preset if one has it. */
  readonly name: string;
  readonly settings: Fields;
}

/** In milliseconds; null: the default. */
export interface Timeouts {
  readonly attemptMs: number | null;
  readonly firstContentMs: number | null;
}

export interface DraftTarget {
  /** `provider/model`. */
  readonly target: string;
  readonly weight?: number;
  readonly set?: Fields;
  readonly drop?: readonly string[];
  /** Not written: a route has one timeout for all its targets. */
  readonly timeouts?: Timeouts;
}

export interface DraftRoute {
  readonly tiers: readonly (readonly DraftTarget[])[];
  /** Policy blocks of the route. */
  readonly policy?: Fields;
}

export class Draft {
  readonly #providers = new Map<string, { readonly identity: string; readonly settings: Fields; readonly models: Map<string, Fields> }>();
  readonly #routes = new Map<string, DraftRoute>();
  readonly #notes: string[] = [];
  /** Variables to set, with what each holds. */
  readonly #variables = new Map<string, string>();
  /** Variables by the plain value that they replace; the values are never printed. */
  readonly #secrets = new Map<string, string>();
  readonly #reserved = new Set<string>();
  readonly sections: Record<string, unknown> = {};

  /** Adds what could not be carried over, or was changed. */
  note(where: string, what: string): void {
    const line = `${where}: ${what}`;
    if (!this.#notes.includes(line)) this.#notes.push(line);
  }

  /** Keeps names that the source uses for other values from being chosen for keys in plain text. */
  reserve(names: Iterable<string>): void {
    for (const name of names) this.#reserved.add(name);
  }

  /** A reference to an environment variable of the source. */
  variable(name: string, holds: string): string {
    if (!this.#variables.has(name)) this.#variables.set(name, holds);
    return `\${${name}}`;
  }

  /** Replaces a secret in plain text by a variable named like `preferred`; equal values share one. */
  secret(value: string, preferred: string, holds: string): string {
    let name = this.#secrets.get(value);
    if (name === undefined) {
      name = preferred;
      for (let i = 2; this.#variables.has(name) || this.#reserved.has(name); i++) name = `${preferred}_${i}`;
      this.#secrets.set(value, name);
      this.#variables.set(name, `${holds}, which the source has as plain text`);
    }
    return `\${${name}}`;
  }

  /** The name of the provider with these settings; equal settings share one provider. */
  provider({ name, settings }: DraftProvider): string {
    const identity = JSON.stringify([name, settings]);
    for (const [used, known] of this.#providers) if (known.identity === identity) return used;
    let free = name;
    for (let i = 2; this.#providers.has(free); i++) free = `${name}-${i}`;
    const needsPreset = free !== name && isPresetName(name) && settings['preset'] === undefined;
    this.#providers.set(free, { identity, settings: { ...(needsPreset ? { preset: name } : {}), ...settings }, models: new Map() });
    return free;
  }

  /** Sets the limits of one model of a provider. False: it has others already. */
  limit(provider: string, model: string, limits: Fields): boolean {
    const { models } = this.#providers.get(provider)!;
    const before = models.get(model);
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(limits)) return false;
    models.set(model, limits);
    return true;
  }

  hasRoute(name: string): boolean {
    return this.#routes.has(name);
  }

  routeOf(name: string): DraftRoute | undefined {
    return this.#routes.get(name);
  }

  route(name: string, route: DraftRoute): void {
    this.#routes.set(name, route);
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  get routes(): ReadonlyMap<string, DraftRoute> {
    return this.#routes;
  }

  /** The config as YAML, with what could not be carried over as comments. */
  text(source: string): string {
    const providers = Object.fromEntries([...this.#providers].map(([name, { settings, models }]) => [name, withModels(settings, models)]));
    const models = Object.fromEntries([...this.#routes].map(([name, route]) => [name, routeInput(route)]));
    const lines = [`Imported from ${source} by breakwater import. Verify it: breakwater check FILE, breakwater check --online FILE`];
    const variables = [...this.#variables].map(([name, holds]) => `  ${name}: ${holds}`);
    if (variables.length > 0) lines.push('', 'Set these environment variables:', ...variables);
    if (this.#notes.length > 0) lines.push('', 'Changed, or not carried over:', ...this.#notes.map((note) => `  ${note}`));
    const header = lines.map((line) => (line === '' ? '#' : `# ${line.replaceAll(/[\r\n]+/g, ' ')}`)).join('\n');
    return `${header}\n\n${stringify({ providers, ...(this.#routes.size === 0 ? {} : { models }), ...this.sections }, { lineWidth: 140, aliasDuplicateObjects: false })}`;
  }
}

function withModels(settings: Fields, models: ReadonlyMap<string, Fields>): Fields {
  if (models.size === 0) return settings;
  return { ...settings, models: Object.fromEntries([...models].map(([model, limits]) => [model, { limits }])) };
}

/** The shortest form of a route. */
function routeInput({ tiers, policy }: DraftRoute): unknown {
  const targets = tiers.map((tier) => {
    const written = tier.map(targetInput);
    return written.length === 1 ? written[0] : written;
  });
  return policy === undefined || Object.keys(policy).length === 0 ? targets : { targets, ...policy };
}

function targetInput({ target, weight, set, drop }: DraftTarget): unknown {
  const more = {
    ...(weight === undefined || weight === 1 ? {} : { weight }),
    ...(set === undefined || Object.keys(set).length === 0 ? {} : { set }),
    ...(drop === undefined || drop.length === 0 ? {} : { drop }),
  };
  return Object.keys(more).length === 0 ? target : { target, ...more };
}

/** The variable that holds a key of the provider by convention. */
export function keyVariableOf(provider: string): string {
  const [known] = isPresetName(provider) ? presets[provider].keyNames : [];
  return known ?? `${provider.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}_API_KEY`;
}

export function recordOf(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
}

/** A number, also if it is written as a text. */
export function numberOf(value: unknown): number | null {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

/** A count of at least one; null: none, or out of range. */
export function countOf(value: unknown): number | null {
  const number = numberOf(value);
  return number !== null && number >= 1 ? Math.round(number) : null;
}

/** A duration in seconds as the config writes it; null: none. */
export function secondsOf(value: unknown): string | null {
  const number = numberOf(value);
  return number === null || number <= 0 ? null : durationText(number * 1000);
}

export function durationText(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${Math.max(1, Math.round(ms))}ms`;
}
