/** The identity that requests to a provider are signed with, or that access tokens are issued to, instead of a fixed key. */
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
  /** Either `file`, an absolute path, or `json` is set. */
  | { readonly kind: 'google-key'; readonly file: string | null; readonly json: string | null }
  | { readonly kind: 'google-metadata'; readonly origin: string }
  | { readonly kind: 'entra'; readonly tokenUrl: string; readonly clientId: string; readonly clientSecret: string; readonly scope: string };
