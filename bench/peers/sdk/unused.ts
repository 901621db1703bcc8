/** A service that this case does not call: whoever writes the handler by hand would not import its client. */
export const SECRETS_MANAGER = undefined;
