/** As whom a provider is asked where no fixed key says it. */
export type IdentityConfig =
  | {
      readonly kind: 'aws';
      readonly region: string;
      readonly service: string;
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken: string | null;
    }
  | {
      readonly kind: 'aws-profile';
      readonly region: string;
      readonly service: string;
      readonly profile: string;
      /** Absolute. */
      readonly credentialsFile: string;
      readonly configFile: string;
    }
  /** `file` is absolute; of `file` and `json` one is given. */
  | { readonly kind: 'google-key'; readonly file: string | null; readonly json: string | null }
  | { readonly kind: 'google-metadata'; readonly origin: string }
  | { readonly kind: 'entra'; readonly tokenUrl: string; readonly clientId: string; readonly clientSecret: string; readonly scope: string };
