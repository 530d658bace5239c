"""What every test runs with: a share of the cores, a place for what JAX compiled, the longest files first."""

from __future__ import annotations

import os

import pytest

from analog_fhn._support.threads import usable_cores

# Further cases of what other tests check with fewer; together they would take `make test` beyond a quarter of an hour
# on two cores. `make slow` runs them.
FURTHER_CASES = {
    "backends/spice/test_held.py::test_a_position_by_itself_is_that_of_the_whole_network[full]",
    "backends/spice/test_backend.py::test_agrees_with_the_coefficient_equations[2-4]",
    "backends/spice/test_exported.py::test_two_hidden_layers"
    "[tanh behind sigmoid, gamma above 0, rows shifted both ways, raw]",
    "backends/spice/test_held.py::test_every_position_is_what_the_equations_say"
    "[relu, two convolutions and a dense layer-full]",
    "backends/spice/test_held.py::test_every_position_is_what_the_equations_say[sigmoid, two convolutions-full]",
    "backends/test_agreement.py::test_direct_oscillates_as_the_reference_does[1]",
    "backends/test_noise.py::test_brian_repeats_itself_by_its_seed[numpy]",
    "backends/test_noise.py::test_correlation_time_in_brian",
    "backends/test_noise.py::test_resting_neuron_fluctuates_as_its_linearisation_does[brian-both]",
    "backends/test_noise.py::test_resting_neuron_fluctuates_as_its_linearisation_does[brian-x]",
    "backends/test_noise.py::test_resting_neuron_fluctuates_as_its_linearisation_does[brian-y]",
    "backends/test_noise.py::test_variance_in_brian_is_below_by_what_it_states",
    "backends/test_transconductors.py::test_a_lag_leaves_settled_means_and_lengthens_periods",
    "backends/test_transconductors.py::test_brian_integrates_a_tabulated_cubic_as_the_polynomial[cython]",
    "backends/test_transconductors.py::test_brian_integrates_a_tabulated_cubic_as_the_polynomial[numpy]",
    "cell/opamp_fhn/test_rectifier.py::test_the_exported_chip_gives_the_scores_of_classify[units1]",
    "cli/test_reconstruct.py::test_fine_recordings_are_thinned",
    "cli/test_reconstruct.py::test_maps_trained_ahead_are_tried_too",
    "cli/test_reconstruct.py::test_several_drives_are_judged_one_by_one",
    "cli/test_section4.py::test_fresh_chips_of_a_technology",
    "cli/test_section4.py::test_several_layers_inside",
    "cli/test_train.py::test_layers_are_trained_judged_and_trained_on",
    "cli/test_train.py::test_units_and_ceilings_of_dense_layers",
    "papers/test_kuptsov2025.py::test_everything_for_one_neuron",
    "papers/test_population.py::test_networks_are_trained_once",
    "reconstruct/test_pipeline.py::test_maps_are_tried_after_one_step_and_after_several",
    "training/test_array_layer.py::test_moments_are_those_of_chips[discrete-values2]",
    "training/test_circuit.py::test_a_given_ceiling_is_trained_with",
    "training/test_circuit.py::test_amplifier_offsets_are_those_of_the_rows[False]",
    "training/test_circuit.py::test_arrays_whose_devices_can_be_without_conductance_are_trained_for",
    "training/test_circuit.py::test_chips_of_convolutions_get_better_too",
    "training/test_circuit.py::test_chips_of_relus_get_better_by_training_with_their_kind",
    "training/test_circuit.py::test_chips_with_two_hidden_layers_get_better_too",
    "training/test_circuit.py::test_noise_of_the_parts_is_seen",
    "training/test_circuit.py::test_relus_and_convolutions_learn_with_neurons_inside",
    "training/test_circuit.py::test_settings_tell_what_training_saw",
    "training/test_circuit.py::test_the_largest_seeds_are_seeds[4294967295]",
    "training/test_convolution_layers.py::test_moments_of_biases_are_those_of_chips[values1]",
    "training/test_fhn_layer.py::test_a_copy_of_a_model_has_its_responses[None-True]",
    "training/test_fhn_layer.py::test_a_copy_of_a_model_has_its_responses[samples1-True]",
    "training/test_section4_training.py::test_learns_the_digits[input-True]",
    "trim/test_trim_command.py::test_both_hidden_layers_are_tuned_with_the_chip_in_the_forward_pass",
    "cli/test_face.py::test_the_five_commands_work_as_they_are_printed",
    "test_wheel.py::test_the_installed_program_finds_its_simulators",
    "test_wheel.py::test_the_installed_program_classifies",
    "cli/test_interrupted.py::test_the_same_command_goes_on_with_corners",
    "cli/test_interrupted.py::test_comparison_keeps_the_stages_that_are_done",
    "backends/test_transconductors.py::test_brian_and_reference_agree_on_saturating_neurons",
    "backends/test_transconductors.py::test_a_lag_is_the_same_in_reference_direct_and_brian",
    "backends/test_transconductors.py::test_windows_can_be_asked_of_any_neurons_and_backends",
    "bench/test_answers.py::test_a_chip_of_transistors_says_that_it_computes",
    "backends/test_agreement.py::test_direct_oscillates_as_the_reference_does[2]",
    "cli/test_several_layers.py::test_allocate_chooses_parts_of_all_layers",
    "backends/spice/test_backend.py::test_agrees_with_the_coefficient_equations[1-0]",
    "training/test_section4_training.py::test_learns_the_digits[drive-False]",
    "test_notebooks.py::test_a_page_shows_what_its_notebook_yields[how_many_chips]",
    "cell/ota_fhn/test_cell.py::test_drawn_neurons_have_the_means_of_their_transistors",
    "backends/spice/test_tuning.py::test_windows_of_transistors_are_those_of_ngspice",
    "backends/spice/test_held.py::test_a_position_by_itself_is_that_of_the_whole_network[reduced]",
    "cell/ota_fhn/test_sky130.py::test_mean_output_is_minus_the_drive_in_other_corners",
    "netlist/test_transistor_chip.py::test_scores_of_two_hidden_layers",
    "training/test_circuit.py::test_several_hidden_layers",
    "cli/test_reconstruct.py::test_result_is_kept_where_a_picture_fails",
    "test_notebooks.py::test_a_page_shows_what_its_notebook_yields[living_neuron]",
    "test_notebooks.py::test_a_page_shows_what_its_notebook_yields[paper_in_one_page]",
    "test_notebooks.py::test_a_page_shows_what_its_notebook_yields[chip_of_transistors]",
    "cli/test_silicon.py::test_sweep_over_conditions_and_its_report",
    "montecarlo/test_control.py::test_two_runs_of_the_command",
    "backends/spice/test_held.py::test_every_position_is_what_the_equations_say[sigmoid, two convolutions-reduced]",
    "backends/spice/test_tuning.py::test_table_of_op_amps_is_that_of_ngspice_alone",
    "board/test_exported_board.py::test_the_digits_demonstrator_is_its_netlist[None]",
    "board/test_exported_board.py::test_networks_of_every_kind_are_their_netlists[sigmoid]",
    "board/test_exported_board.py::test_networks_of_every_kind_are_their_netlists[tanh raw]",
    "board/test_exported_board.py::test_networks_of_every_kind_are_their_netlists[gamma above 0]",
    "board/test_exported_board.py::test_networks_of_every_kind_are_their_netlists[two hidden layers]",
    "board/test_bench_protocol.py::test_every_fault_is_named_by_itself_or_with_what_does_the_same",
}


# Files that take longest, the longest first: a worker that began with one of them at the end would be waited for.
LONGEST = (
    "test_wheel.py",
    "trim/test_trim_command.py",
    "training/test_section4_training.py",
    "training/test_circuit.py",
    "montecarlo/test_open_run.py",
    "training/test_fhn_layer.py",
    "backends/table/test_backend.py",
    "cli/test_cli.py",
    "papers/test_kuptsov2025.py",
    "montecarlo/test_dask.py",
    "backends/test_transconductors.py",
    "backends/spice/test_backend.py",
    "training/test_convolution_layers.py",
    "cell/opamp_fhn/test_rectifier.py",
    "netlist/test_decks.py",
    "backends/test_flicker.py",
    "cli/test_reconstruct.py",
    "cli/test_interrupted.py",
    "cli/test_silicon.py",
    "backends/spice/test_tuned.py",
    "backends/spice/test_held.py",
    "reconstruct/model/test_autoencoder.py",
    "papers/test_bogatenko2023.py",
    "report/test_run_report.py",
    "training/test_plain.py",
    "weights/test_keras_images.py",
    "backends/test_agreement.py",
    "training/test_array_layer.py",
    "reconstruct/test_pipeline.py",
    "test_convolution.py",
    "test_api_page.py",
    "test_sweeps.py",
    "cli/test_train.py",
    "backends/test_noise.py",
    "weights/test_keras_files.py",
    "backends/spice/test_exported.py",
    "cli/test_classify_twin.py",
    "cli/test_convolutional.py",
    "cli/test_section4.py",
    "test_docs.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(_place(item).partition("::")[0], len(LONGEST)))
    for item in items:
        if _place(item) in FURTHER_CASES:
            item.add_marker(pytest.mark.slow)


def _place(item: pytest.Item) -> str:
    return item.nodeid.removeprefix("tests/")


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        _share_cores(max(1, usable_cores() // worker["workercount"]))
    if getattr(config, "cache", None) is not None:
        # A folder for each process, since JAX does not write its files at once.
        _keep_compiled(str(config.cache.mkdir(f"jax-{'alone' if worker is None else worker['workerid']}")))


def _share_cores(number: int) -> None:
    """Threads that wait for each other on the same cores spend more time on waiting than on the tests."""
    # read when a library is loaded, here and in the processes that tests start
    os.environ["OPENBLAS_NUM_THREADS"] = str(number)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import numba

    # not NUMBA_NUM_THREADS: tests of several threads ask for more
    numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))


def _keep_compiled(folder: str) -> None:
    """The same training occurs in many tests, and Keras has it compiled anew in each."""
    # Compiling takes longer than training networks of this size.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
