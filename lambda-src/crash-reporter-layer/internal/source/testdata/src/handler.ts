import { Checkout, type Order } from './order';

export const handler = async (event: { order: Order }): Promise<string> => {
  const checkout = new Checkout();
  return checkout.pay(event.order);
};
