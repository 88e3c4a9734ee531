/** Instances that were members of the fleet and are not any more. */
const DEPARTED_MAX = 1_000;

export class DepartedMembers {
  #members: readonly string[] = [];
  readonly #departed = new Set<string>(); // at most DEPARTED_MAX, the oldest first

  update(members: readonly string[]): void {
    for (const member of this.#members) this.#departed.add(member);
    for (const member of members) this.#departed.delete(member);
    for (const oldest of this.#departed) {
      if (this.#departed.size <= DEPARTED_MAX) break;
      this.#departed.delete(oldest);
    }
    this.#members = members;
  }

  has(member: string): boolean {
    return this.#departed.has(member);
  }
}
