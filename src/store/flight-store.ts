/** Responses in flight at several instances: the claims on them, and the parts that one instance sends to the others. */

export interface FlightPart {
  readonly kind: string;
  /** JSON. */
  readonly meta: string;
  readonly bytes: Uint8Array;
}

export interface PlacedPart extends FlightPart {
  /** Where to read on. */
  readonly place: string;
}

export interface FlightClaim {
  readonly names: readonly string[];
  readonly owner: string;
  /** Owners of this instance begin with it and a dot; their claims are replaced. */
  readonly member: string;
  /** Claims of this owner don't count: it is gone. */
  readonly instead: string | null;
}

/** Calls may be slow or hang; one that fails rejects with a `StoreFailure`. */
export interface FlightStore {
  /** Claims all names, up to the first that another instance has. That one's place and owner; null: all are claimed. */
  claim(claim: FlightClaim): Promise<{ readonly at: number; readonly owner: string } | null>;
  /** Gives up what the owners have claimed. */
  release(claims: readonly (readonly [name: string, owner: string])[]): Promise<void>;
  append(id: string, parts: readonly FlightPart[]): Promise<void>;
  /** Removes all parts; the places of later ones come after theirs. */
  clear(id: string): Promise<void>;
  /** The newest part; null: there are none. */
  last(id: string): Promise<PlacedPart | null>;
  /** Parts after a place (empty: from the first), some at a time. Empty: there are none yet. */
  read(id: string, after: string): Promise<readonly PlacedPart[]>;
  /** Never rejects. */
  close(): Promise<void>;
}
