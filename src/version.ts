/**
 * Which carpio this is. package.json says so, in the bundle too.
 */
import manifest from "../package.json" with { type: "json" };

export const version: string = manifest.version;
