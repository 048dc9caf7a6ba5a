/* SPDX-License-Identifier: Apache-2.0 */
/* Linked to all libraries of walback, does nothing: what starting costs at least. */
int main(void)
{
	return 0;
}
