import { Checkout, type Order } from './order';

/** Fails for an order without items. In what runs, everything is one minified line. */
export const handler = async (event: { readonly order?: Order }): Promise<number> => {
  const checkout = new Checkout(event.order ?? {});
  return checkout.total();
};
