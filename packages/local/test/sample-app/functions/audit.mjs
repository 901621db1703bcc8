export const handler = async event => {
  console.log('a large order:', event.detail.price);
};
