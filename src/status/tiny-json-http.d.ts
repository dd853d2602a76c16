/** What we use of tiny-json-http, which has no types of its own. */
declare module "tiny-json-http" {
  interface Request {
    readonly url: string;
    readonly headers?: { readonly [name: string]: string };
    readonly data?: object;
  }
  interface Response {
    /** Parsed when it is JSON. */
    readonly body: unknown;
  }
  const http: {
    get(request: Request): Promise<Response>;
    post(request: Request): Promise<Response>;
  };
  export = http;
}
