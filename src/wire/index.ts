export { HeaderList } from './header-list.ts';
