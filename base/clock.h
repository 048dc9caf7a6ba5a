/* SPDX-License-Identifier: Apache-2.0 */
/* The only reader of clocks and of the system's random source. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void); /* Unix time; may step */
int64_t clock_wall_ns(void);
int64_t clock_mono_ms(void); /* CLOCK_MONOTONIC, for deadlines and durations */
int64_t clock_mono_us(void);
int64_t clock_boot_ms(void); /* CLOCK_BOOTTIME: counts suspend */
void clock_sleep_ms(int64_t ms);
void clock_sleep_us(int64_t us);
/* A condition variable whose timed waits go by CLOCK_MONOTONIC, not by a wall clock that may step; aborts if the
 * system has none. */
void clock_cond_init(pthread_cond_t *c);
/* The pause after one of ms: `first` after none (0), then twice as long, up to the ceiling. */
int64_t clock_backoff_ms(int64_t ms, int64_t first, int64_t ceiling);

/* getrandom(2); aborts if the system has none. */
void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
/* 16 lower-case hex digits and a NUL: generation ids, sessions. */
void random_hex16(char out[17]);

#endif
