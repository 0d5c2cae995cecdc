"""Trainings in code that numba compiles: the plain loop's trials, an order of magnitude sooner.

The plain loop (``netmend.env.training.loop``) is the definition; this package does the same for most programs
and leaves the others to it (``NotMineError``): volumes, a GPU.

* **Table.** ``table.py`` turns the layers into rows of whole numbers, one for each operation: the addresses
  of its two kernels, where its inputs, outputs, weights and gradients stand, sizes. An attention becomes a
  dozen operations, a skip connection one. The rows of the backward pass say besides where a gradient is
  added to one that is there already (shared weights, skips).
* **Arena.** One float32 vector holds weights (the trained ones first), gradients, states of the optimizer,
  outputs and their gradients, constants. Rows are laid out places first, features last, so that a kernel's
  inner loop goes over features, and a convolution is a product of windows laid out side by side.
* **Kernels.** One function per kind of operation, forwards and backwards, with one signature, compiled alone
  when a program first has it, and kept on disk (``jit.py``). ``passes.py`` calls them by their addresses, so
  that it need not be compiled anew for another kind, and a call costs nanoseconds. Products go to the BLAS
  library through ``numpy.dot``.
* **Layouts.** Tables and places depend on the layers, the loop and the number of rows alone, and are
  remembered (``network.py``): many a program is met again with another rate, loss or optimizer.
* **Epochs.** A compiled call does the epochs up to the next check: rows, both passes, loss, penalties,
  clipping, step, validation, and the end of the patience. Where Python has to look at every epoch (real
  values, a metric of classes, a schedule that waits, noise that is not dropout) a call does one. What stays
  Python is the plain loop's own (``session.py`` derives from its session): curves, scores, symptoms.
* **Randomness.** Initial weights come from the same initialisers, the order of the rows and the noise from
  the same generators in the same order. Bits of dropout are drawn by torch for whole epochs; a kernel
  compares them.
* **Safety.** Sizes are checked before the first call: of the arena, ids against tables and outputs. The
  compiled code lets other threads run, so that limits of time hold. ``NUMBA_BOUNDSCHECK=1`` checks every
  index.

Losses differ from the plain loop's by rounding: the products are summed in another order, exponentials are
polynomials of float32.
"""
