/** The part of the `raw-socket` package that we use. */
declare module "raw-socket" {
  import type { EventEmitter } from "node:events";

  export interface Socket extends EventEmitter {
    setOption(level: number, option: number, value: Buffer | number, length?: number): void;
    /** `before` runs right before the packet is handed to the kernel. */
    send(
      packet: Buffer,
      offset: number,
      length: number,
      address: string,
      before: () => void,
      after: (error: Error | null, sentBytes: number) => void,
    ): void;
    pauseRecv(): this;
    close(): this;
  }

  export const AddressFamily: { readonly IPv4: number; readonly IPv6: number };
  export function createSocket(options: {
    readonly protocol: number;
    readonly addressFamily: number;
    readonly bufferSize?: number;
  }): Socket;
}
