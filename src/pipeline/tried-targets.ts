import type { Instant } from '../core/clock.ts';
import type { RouteTarget } from './route.ts';

interface Tried {
  readonly target: RouteTarget;
  asked: boolean;
  free: boolean;
  dead: boolean;
  notBefore: Instant;
  dropped: readonly string[];
}

const NOTHING: readonly string[] = [];

/** What one request knows of the targets that it has met. A short list: most requests meet one. */
export class TriedTargets {
  readonly #list: Tried[] = [];

  /** An attempt was sent to it. */
  isAsked(target: RouteTarget): boolean {
    return this.#find(target)?.asked ?? false;
  }

  /** The last attempt did not reach it, or it said when to come back: the next one is no repeat that its retry budget has to pay for. */
  isFree(target: RouteTarget): boolean {
    return this.#find(target)?.free ?? false;
  }

  /** It can't answer this request, now or later. */
  isDead(target: RouteTarget): boolean {
    return this.#find(target)?.dead ?? false;
  }

  /** When it may be asked again; -Infinity: any time. */
  notBefore(target: RouteTarget): Instant {
    return this.#find(target)?.notBefore ?? -Infinity;
  }

  /** Fields that it has refused, and that are left out for it from then on. */
  dropped(target: RouteTarget): readonly string[] {
    return this.#find(target)?.dropped ?? NOTHING;
  }

  markAsked(target: RouteTarget): void {
    const tried = this.#of(target);
    tried.asked = true;
    tried.free = false;
  }

  markFree(target: RouteTarget): void {
    this.#of(target).free = true;
  }

  markDead(target: RouteTarget): void {
    this.#of(target).dead = true;
  }

  pause(target: RouteTarget, until: Instant): void {
    this.#of(target).notBefore = until;
  }

  drop(target: RouteTarget, field: string): void {
    const tried = this.#of(target);
    tried.dropped = [...tried.dropped, field];
  }

  #find(target: RouteTarget): Tried | undefined {
    for (const tried of this.#list) if (tried.target === target) return tried;
    return undefined;
  }

  #of(target: RouteTarget): Tried {
    let tried = this.#find(target);
    if (tried === undefined)
      this.#list.push((tried = { target, asked: false, free: false, dead: false, notBefore: -Infinity, dropped: NOTHING }));
    return tried;
  }
}
